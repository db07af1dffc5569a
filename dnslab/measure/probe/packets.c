/*
 * Engine wire, its packets: sends the queries of slots, and gives answers to the slots they belong to.
 *
 * Starts are stamped right before the sending call, ends by the kernel when the datagram came in (SO_TIMESTAMPNS of
 * socket(7)), so a late wake-up of this thread does not count as latency.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>

#define ANSWER_MIN (DNS_HEADER_BYTES + 5u) /* the shortest question: the root's name of one byte, type and class */
#define ANSWER_MAX 4096u

static uint64_t realtime_minus_monotonic;

/* The kernel stamps datagrams with the wall clock (socket(7), SO_TIMESTAMPNS); records hold the monotonic clock. The
 * offset is taken from the tightest of five readings: its error is at most half of that reading's width. */
void take_offset(void)
{
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < 5; i++) {
		uint64_t before = clock_ns(), real = realtime_ns(), after = clock_ns();
		if (after - before < best) {
			best = after - before;
			realtime_minus_monotonic = real - (before + best / 2);
		}
	}
	wire.offset_taken_ns = clock_ns();
}

/* Takes an answer whose id, QR bit and question agree with a query in flight on its socket (RFC 5452, section 9.1).
 * Ignores all others. */
static void take_answer(uint32_t flow_number, const uint8_t *message, uint32_t size, uint64_t end_ns)
{
	if (size < ANSWER_MIN || !(message[2] & DNS_RESPONSE))
		return;
	uint16_t id = (uint16_t)(message[0] << 8 | message[1]);
	uint32_t number = flow_number * wire.slots_per_flow + (id & (wire.slots_per_flow - 1));
	const struct slot *slot = &wire.slots[number];
	if (!slot->used || slot->id != id)
		return;
	uint32_t question = wire.run->entry_sizes[slot->entry] - DNS_HEADER_BYTES;
	if (size < DNS_HEADER_BYTES + question ||
	    memcmp(message + DNS_HEADER_BYTES, wire.run->entries[slot->entry] + DNS_HEADER_BYTES, question))
		return;
	uint32_t flags = message[2] & DNS_TRUNCATED ? FLAG_TRUNCATED : 0u;
	if (end_ns < slot->start_ns)
		end_ns = clock_ns() - wire.run->origin_ns; /* the wall clock was set back */
	finish(number, end_ns, message[3] & DNS_RCODE, flags,
	       count_answers(message, size, DNS_HEADER_BYTES + question));
}

/* When the kernel received the datagram. It is now_ns where there is no stamp, or the stamp lies in the future: somebody
 * may have set the wall clock. */
static uint64_t stamp_of(struct msghdr *header, uint64_t now_ns)
{
	/* Only one control message was asked for, so there is no next one. CMSG_NXTHDR of musl changes a sign, which
	 * -Wconversion warns of. */
	const struct cmsghdr *part = CMSG_FIRSTHDR(header);
	if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
		struct timespec stamp;
		memcpy(&stamp, CMSG_DATA(part), sizeof(stamp));
		uint64_t real = (uint64_t)stamp.tv_sec * NS_PER_S + (uint64_t)stamp.tv_nsec;
		uint64_t stamp_ns = real - realtime_minus_monotonic - wire.run->origin_ns;
		return stamp_ns < now_ns ? stamp_ns : now_ns;
	}
	return now_ns;
}

static void receive_udp(uint32_t number)
{
	static uint8_t answers[BATCH][ANSWER_MAX];
	static _Alignas(struct cmsghdr) uint8_t controls[BATCH][CMSG_SPACE(sizeof(struct timespec))];
	static struct mmsghdr messages[BATCH];
	static struct iovec parts[BATCH];
	for (uint32_t i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){.iov_base = answers[i], .iov_len = ANSWER_MAX};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i],
						      .msg_iovlen = 1,
						      .msg_control = controls[i],
						      .msg_controllen = sizeof(controls[i])};
	}
	int got = recvmmsg(wire.flows[number].fd, messages, BATCH, 0, NULL);
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		fail_flow(number);
	uint64_t now = clock_ns() - wire.run->origin_ns;
	for (int i = 0; i < got && wire.flows[number].fd >= 0; i++)
		take_answer(number, answers[i], messages[i].msg_len, stamp_of(&messages[i].msg_hdr, now));
}

static void receive_tcp(uint32_t number)
{
	struct flow *flow = &wire.flows[number];
	ssize_t got = recv(flow->fd, flow->buffer + flow->buffered, TCP_BUFFER - flow->buffered, 0);
	uint64_t now = clock_ns() - wire.run->origin_ns;
	if (got <= 0) {
		if (got == 0 || (errno != EAGAIN && errno != EINTR))
			fail_flow(number);
		return;
	}
	flow->buffered += (uint32_t)got;
	uint32_t at = 0;
	while (flow->fd >= 0 && flow->buffered - at >= 2) {
		uint32_t size = (uint32_t)flow->buffer[at] << 8 | flow->buffer[at + 1];
		if (size + 2 > TCP_BUFFER) {
			fail_flow(number);
			return;
		}
		if (flow->buffered - at < size + 2)
			break;
		take_answer(number, flow->buffer + at + 2, size, now);
		at += size + 2;
	}
	if (flow->fd >= 0) {
		memmove(flow->buffer, flow->buffer + at, flow->buffered - at);
		flow->buffered -= at;
	}
}

void receive(uint32_t flow_number)
{
	(wire.over_tcp ? receive_tcp : receive_udp)(flow_number);
}

void send_slots(uint32_t flow_number, const uint32_t *numbers, uint32_t n, bool waited)
{
	static uint8_t queries[BATCH][QUERY_MAX + 2];
	static struct mmsghdr messages[BATCH];
	static struct iovec parts[BATCH];
	struct flow *flow = &wire.flows[flow_number];
	const uint32_t prefix = wire.over_tcp ? 2 : 0;
	size_t total = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct slot *slot = &wire.slots[numbers[i]];
		uint32_t size = wire.run->entry_sizes[slot->entry];
		memcpy(queries[i] + prefix, wire.run->entries[slot->entry], size);
		queries[i][prefix] = (uint8_t)(slot->id >> 8);
		queries[i][prefix + 1] = (uint8_t)slot->id;
		if (wire.over_tcp) {
			queries[i][0] = (uint8_t)(size >> 8);
			queries[i][1] = (uint8_t)size;
		}
		parts[i] = (struct iovec){.iov_base = queries[i], .iov_len = size + prefix};
		total += size + prefix;
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	}
	uint64_t now = clock_ns() - wire.run->origin_ns;
	for (uint32_t i = 0; i < n && !waited; i++)
		wire.slots[numbers[i]].start_ns = now;
	if (flow->connecting)
		return; /* connected() sends them */
	int sent;
	if (wire.over_tcp) {
		ssize_t written = writev(flow->fd, parts, (int)n);
		if (written > 0 && (size_t)written < total) {
			fail_flow(flow_number); /* the server would read the next query as the rest of this one */
			return;
		}
		sent = written > 0 ? (int)n : -1;
	} else {
		sent = sendmmsg(flow->fd, messages, n, MSG_NOSIGNAL);
	}
	for (uint32_t i = sent < 0 ? 0 : (uint32_t)sent; i < n; i++)
		finish(numbers[i], clock_ns() - wire.run->origin_ns, OUTCOME_SOCKET, 0, 0);
}

void connected(uint32_t number)
{
	struct flow *flow = &wire.flows[number];
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
		fail_flow(number);
		return;
	}
	flow->connecting = false;
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
	epoll_ctl(wire.poller, EPOLL_CTL_MOD, flow->fd, &event);
	const uint32_t end = (number + 1) * wire.slots_per_flow;
	for (uint32_t i = end - wire.slots_per_flow; i < end && flow->fd >= 0;) {
		uint32_t numbers[BATCH], n = 0;
		for (; i < end && n < BATCH; i++)
			if (wire.slots[i].used)
				numbers[n++] = i;
		if (n)
			send_slots(number, numbers, n, true);
	}
}
