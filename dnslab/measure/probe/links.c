/*
 * Deletes a network interface by netlink: images of node-local caches have no `ip`.
 */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel's linux/netlink.h and linux/rtnetlink.h, which musl-gcc does not find. */
#define NETLINK_ROUTE 0
#define NLM_F_REQUEST 0x01
#define NLM_F_ACK 0x04
#define NLMSG_ERROR 2
#define RTM_DELLINK 17

struct header { /* struct nlmsghdr */
	uint32_t length;
	uint16_t type, flags;
	uint32_t sequence, port;
};

struct delete_request {
	struct header header;
	uint16_t family, link_type; /* struct ifinfomsg */
	int32_t index;
	uint32_t flags, change;
};

struct answer {
	struct header header;
	int32_t error;    /* struct nlmsgerr: 0, or a negative errno */
	char about[1024]; /* the request, and what the kernel says besides */
};

/* Asks the kernel to delete the interface, and waits for its word: 0, or an error as in errno. */
static int ask_to_delete(int file, unsigned index)
{
	struct delete_request request = {.index = (int32_t)index};
	struct answer answer;
	request.header =
	    (struct header){.length = sizeof(request), .type = RTM_DELLINK, .flags = NLM_F_REQUEST | NLM_F_ACK};
	if (send(file, &request, sizeof(request), 0) < 0)
		return errno;
	ssize_t got = recv(file, &answer, sizeof(answer), 0);
	if (got < 0)
		return errno;
	if ((size_t)got < sizeof(answer.header) + sizeof(answer.error) || answer.header.type != NLMSG_ERROR)
		return EPROTO;
	return -answer.error;
}

int delete_link(const char *name)
{
	unsigned index = if_nametoindex(name);
	int problem = index ? 0 : errno, file = -1;
	if (index) {
		file = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
		problem = file < 0 ? errno : ask_to_delete(file, index);
	}
	if (file >= 0)
		close(file);
	if (!problem)
		return STATUS_DONE;
	fprintf(stderr, "probe: cannot delete interface %s: %s\n", name, strerror(problem));
	return STATUS_GONE;
}
