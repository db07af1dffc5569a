/*
 * A bare query loop to compare the probe with: one socket a query, fixed rate, clock read before send and after recv.
 *
 *   bare_wire ADDRESS PORT RATE N   one line a query: port id start_ns end_ns (CLOCK_REALTIME)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
	static const char question[] = "\0\0\1\0\0\1\0\0\0\0\0\0\1b\3any\7cluster\5local\0\0\1\0\1";
	uint8_t query[sizeof(question) - 1], answer[512];
	if (argc != 5)
		return 2;
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &server.sin_addr);
	const uint64_t gap = 1000000000u / (uint64_t)atoi(argv[3]);
	prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
	uint64_t next = now_ns();
	for (int i = 0; i < atoi(argv[4]); i++) {
		next += gap;
		struct timespec until = {.tv_sec = (time_t)(next / 1000000000u), .tv_nsec = (long)(next % 1000000000u)};
		clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL);
		int file = socket(AF_INET, SOCK_DGRAM, 0);
		struct sockaddr_in local;
		socklen_t size = sizeof(local);
		if (file < 0 || connect(file, (struct sockaddr *)&server, sizeof(server)) ||
		    getsockname(file, (struct sockaddr *)&local, &size))
			return 1;
		memcpy(query, question, sizeof(query));
		query[0] = (uint8_t)(i >> 8);
		query[1] = (uint8_t)i;
		struct pollfd ready = {.fd = file, .events = POLLIN};
		uint64_t start = now_ns();
		if (send(file, query, sizeof(query), 0) < 0)
			return 1;
		if (poll(&ready, 1, 3000) == 1 && recv(file, answer, sizeof(answer), 0) > 0) {
			uint64_t end = now_ns();
			printf("%d %d %llu %llu\n", ntohs(local.sin_port), i & 0xffff, (unsigned long long)start,
			       (unsigned long long)end);
		}
		close(file);
	}
	return 0;
}
