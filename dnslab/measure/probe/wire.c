/*
 * Engine wire: raw queries over UDP or TCP, for controls (A alone, a pair on one socket or on two) and for capacity.
 *
 * One thread does all the network. Starts are stamped right before the sending call, ends by the kernel when the
 * datagram came in (SO_TIMESTAMPNS), so a late wake-up of this thread does not count as latency.
 */
#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32u
#define ANSWER_MAX 4096u
#define TCP_BUFFER 8192u
#define FRESH_FLOWS_MAX 16384u
#define EVENTS_MAX 64
#define SLOTS_PER_FLOW_MAX 4096u
#define SLOTS_MAX (1u << 23) /* of all sockets: half a GiB, of which only what is in flight is touched */
#define NONE UINT32_MAX
#define TIMER UINT32_MAX

struct slot { /* one query in flight */
	uint64_t intended_ns, start_ns;
	uint32_t flow;
	uint32_t next, previous; /* all queries in flight, oldest first: their deadlines are equal */
	uint32_t flags;
	uint16_t id, entry;
	bool used;
};

struct flow { /* one socket; it owns slots [number * slots_per_flow, ...) */
	int fd;
	uint32_t n_in_flight;
	uint32_t n_free_from; /* where to look for the next free slot */
	uint16_t port;
	bool connecting;
	uint8_t *buffer; /* TCP */
	uint32_t buffered;
};

static struct run *run;
static struct ring *ring;
static struct flow *flows;
static struct slot *slots;
static uint32_t n_flows, slots_per_flow; /* slots_per_flow is a power of two */
static uint32_t oldest = NONE, newest = NONE, n_in_flight;
static uint32_t *free_flows, n_free_flows; /* fresh */
static uint64_t n_ids;
static uint32_t next_flow;                 /* sticky */
static int poller, timer;
static uint64_t realtime_minus_monotonic;
static uint64_t offset_taken_ns;
static bool over_tcp, fresh;
static uint32_t per_arrival; /* queries an arrival sends: 1, or 2 for a pair */
static struct sockaddr_storage server;
static socklen_t server_size;

const char *wire_prepare(struct run *of)
{
	const struct job *job = &of->job;
	run = of;
	over_tcp = job->transport == TRANSPORT_TCP;
	fresh = job->mode == MODE_FRESH;
	per_arrival = job->arrangement == ARRANGE_SINGLE ? 1 : 2;
	if ((job->nameserver_family != 4 && job->nameserver_family != 6) || !job->nameserver_port)
		return "engine wire needs a nameserver";
	if (job->arrangement > ARRANGE_PAIR_TWO_SOCKETS || job->transport > TRANSPORT_TCP)
		return "the job asks for an arrangement or transport that this probe does not have";
	if (per_arrival == 2 && job->n_entries % 2)
		return "a pair arrangement needs an even number of queries";
	for (uint32_t i = 0; i < job->n_entries; i++)
		if (!is_query(of->entries[i], of->entry_sizes[i]))
			return "an entry of the job is no DNS query";
	if (job->nameserver_family == 4) {
		struct sockaddr_in *address = (struct sockaddr_in *)&server;
		address->sin_family = AF_INET;
		address->sin_port = htons(job->nameserver_port);
		memcpy(&address->sin_addr, job->nameserver, 4);
		server_size = sizeof(*address);
	} else {
		struct sockaddr_in6 *address = (struct sockaddr_in6 *)&server;
		address->sin6_family = AF_INET6;
		address->sin6_port = htons(job->nameserver_port);
		memcpy(&address->sin6_addr, job->nameserver, 16);
		server_size = sizeof(*address);
	}
	if (job->outstanding > SLOTS_PER_FLOW_MAX)
		return "the job asks for more than 4,096 queries in flight on a socket";
	uint32_t wanted = job->outstanding ? job->outstanding : 1;
	if (job->loop != LOOP_CLOSED)
		wanted = 256; /* sticky sockets of an open loop: more in flight on one are refused as "not started" */
	for (slots_per_flow = 2; slots_per_flow < wanted;)
		slots_per_flow *= 2;
	n_flows = job->workers;
	if (fresh) {
		slots_per_flow = 2;
		n_flows = job->loop == LOOP_CLOSED ? job->workers : FRESH_FLOWS_MAX;
		if (job->arrangement == ARRANGE_PAIR_TWO_SOCKETS && job->loop == LOOP_CLOSED)
			n_flows *= 2;
	}
	if ((uint64_t)n_flows * slots_per_flow > SLOTS_MAX)
		return "the job asks for too many queries in flight: fewer sockets, or fewer on each";
	flows = calloc(n_flows, sizeof(*flows));
	slots = calloc((size_t)n_flows * slots_per_flow, sizeof(*slots));
	free_flows = calloc(n_flows, sizeof(*free_flows));
	of->rings = rings_alloc(1);
	of->n_rings = 1;
	atomic_store(&of->n_rings_used, 1);
	if (!flows || !slots || !free_flows || !of->rings || !ring_alloc(of->rings, RING_RECORDS_TOTAL))
		return "out of memory";
	ring = of->rings;
	poller = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = TIMER};
	if (poller < 0 || timer < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event))
		return "no epoll or timer descriptor can be had";
	for (uint32_t i = 0; i < n_flows; i++) {
		flows[i].fd = -1;
		free_flows[n_free_flows++] = n_flows - 1 - i;
	}
	return NULL;
}

/* Offset of the two clocks by the tightest of a few readings; its error is half the reading's width, under 1 us. */
static void take_offset(void)
{
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < 5; i++) {
		uint64_t before = clock_ns(), real = realtime_ns(), after = clock_ns();
		if (after - before < best) {
			best = after - before;
			realtime_minus_monotonic = real - (before + best / 2);
		}
	}
	offset_taken_ns = clock_ns();
}

static void close_flow(struct flow *flow)
{
	if (flow->fd >= 0)
		close(flow->fd);
	flow->fd = -1;
	flow->buffered = 0;
	flow->connecting = false;
}

static bool open_flow(uint32_t number)
{
	struct flow *flow = &flows[number];
	const int on = 1;
	int type = (over_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
	if (over_tcp && !flow->buffer)
		flow->buffer = malloc(TCP_BUFFER);
	if (over_tcp && !flow->buffer)
		return false;
	flow->fd = socket(server.ss_family, type, 0);
	if (flow->fd < 0)
		return false;
	if (over_tcp) {
		setsockopt(flow->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	} else {
		setsockopt(flow->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	}
	flow->connecting = false;
	if (connect(flow->fd, (const struct sockaddr *)&server, server_size)) {
		flow->connecting = errno == EINPROGRESS;
		if (!flow->connecting) {
			close_flow(flow);
			return false;
		}
	}
	struct sockaddr_storage local;
	socklen_t size = sizeof(local);
	if (!getsockname(flow->fd, (struct sockaddr *)&local, &size))
		flow->port = ntohs(local.ss_family == AF_INET ? ((struct sockaddr_in *)&local)->sin_port
							      : ((struct sockaddr_in6 *)&local)->sin6_port);
	struct epoll_event event = {.events = EPOLLIN | (flow->connecting ? (uint32_t)EPOLLOUT : 0u),
				    .data.u32 = number};
	if (epoll_ctl(poller, EPOLL_CTL_ADD, flow->fd, &event)) {
		close_flow(flow);
		return false;
	}
	return true;
}

static uint16_t entry_type(uint16_t entry)
{
	return question_type(run->entries[entry], run->entry_sizes[entry]);
}

static uint32_t take_slot(uint32_t flow_number, uint16_t entry, uint64_t intended_ns)
{
	struct flow *flow = &flows[flow_number];
	for (uint32_t tried = 0; tried < slots_per_flow; tried++) {
		uint32_t place = flow->n_free_from++ & (slots_per_flow - 1);
		uint32_t number = flow_number * slots_per_flow + place;
		struct slot *slot = &slots[number];
		if (slot->used)
			continue;
		*slot = (struct slot){.intended_ns = intended_ns,
				      .flow = flow_number,
				      .next = NONE,
				      .previous = newest,
				      .entry = entry,
				      .used = true};
		/* The place in the low bits finds the slot again; the rest is random, so that no late answer fits. */
		slot->id = (uint16_t)((mix(run->job.seed ^ ++n_ids) & ~(uint64_t)(slots_per_flow - 1)) | place);
		slot->flags = (entry_type(entry) == 28 ? FLAG_AAAA : 0u) | (over_tcp ? FLAG_TCP : 0u);
		if (intended_ns < run->warmup_end_ns)
			slot->flags |= FLAG_WARMUP;
		if (newest != NONE)
			slots[newest].next = number;
		else
			oldest = number;
		newest = number;
		flow->n_in_flight++;
		n_in_flight++;
		return number;
	}
	return NONE;
}

static void put(const struct slot *slot, uint64_t end_ns, int outcome, uint32_t flags, uint32_t answers)
{
	struct record record = {
	    .intended_ns = slot->intended_ns,
	    .start_ns = slot->start_ns,
	    .end_ns = end_ns,
	    .worker = flows[slot->flow].port | (uint32_t)slot->id << 16,
	    .outcome = (int16_t)outcome,
	    .name = slot->entry,
	    .flags = slot->flags | flags,
	    .answers = answers,
	};
	ring_put(run, ring, &record);
}

static void release_slot(uint32_t number)
{
	struct slot *slot = &slots[number];
	struct flow *flow = &flows[slot->flow];
	if (slot->previous != NONE)
		slots[slot->previous].next = slot->next;
	else
		oldest = slot->next;
	if (slot->next != NONE)
		slots[slot->next].previous = slot->previous;
	else
		newest = slot->previous;
	slot->used = false;
	flow->n_in_flight--;
	n_in_flight--;
	if (fresh && !flow->n_in_flight) {
		close_flow(flow);
		free_flows[n_free_flows++] = slot->flow;
	}
}

static void finish(uint32_t number, uint64_t end_ns, int outcome, uint32_t flags, uint32_t answers)
{
	put(&slots[number], end_ns, outcome, flags, answers);
	release_slot(number);
}

/* A socket failed: so did all that was in flight on it. */
static void fail_flow(uint32_t number)
{
	uint64_t now = clock_ns() - run->origin_ns;
	uint32_t first = number * slots_per_flow;
	for (uint32_t i = first; i < first + slots_per_flow; i++)
		if (slots[i].used)
			finish(i, now, OUTCOME_SOCKET, 0, 0);
	if (!fresh)
		close_flow(&flows[number]);
}

/* An answer counts when id, QR bit and question agree with a query in flight on its socket; all else is ignored. */
static void take_answer(uint32_t flow_number, const uint8_t *message, uint32_t size, uint64_t end_ns)
{
	if (size < 17 || !(message[2] & 0x80))
		return;
	uint16_t id = (uint16_t)(message[0] << 8 | message[1]);
	uint32_t number = flow_number * slots_per_flow + (id & (slots_per_flow - 1));
	const struct slot *slot = &slots[number];
	if (!slot->used || slot->id != id)
		return;
	uint32_t question = run->entry_sizes[slot->entry] - 12u;
	if (size < 12 + question || memcmp(message + 12, run->entries[slot->entry] + 12, question))
		return;
	uint32_t flags = message[2] & 0x02 ? FLAG_TRUNCATED : 0u;
	if (end_ns < slot->start_ns)
		end_ns = clock_ns() - run->origin_ns; /* the stamp is of a wall clock that was set back */
	finish(number, end_ns, message[3] & 0x0f, flags, count_answers(message, size, 12 + question));
}

/* When the kernel took the datagram in; now_ns where it does not tell, or tells a time to come: its stamps are of the wall
 * clock, and that may be set. */
static uint64_t stamp_of(struct msghdr *header, uint64_t now_ns)
{
	/* One control message at most was asked for; CMSG_NXTHDR of musl does not compile without warnings. */
	const struct cmsghdr *part = CMSG_FIRSTHDR(header);
	if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
		struct timespec stamp;
		memcpy(&stamp, CMSG_DATA(part), sizeof(stamp));
		uint64_t real = (uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec;
		uint64_t stamp_ns = real - realtime_minus_monotonic - run->origin_ns;
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
	int got = recvmmsg(flows[number].fd, messages, BATCH, 0, NULL);
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		fail_flow(number);
	uint64_t now = clock_ns() - run->origin_ns;
	for (int i = 0; i < got && flows[number].fd >= 0; i++)
		take_answer(number, answers[i], messages[i].msg_len, stamp_of(&messages[i].msg_hdr, now));
}

static void receive_tcp(uint32_t number)
{
	struct flow *flow = &flows[number];
	ssize_t got = recv(flow->fd, flow->buffer + flow->buffered, TCP_BUFFER - flow->buffered, 0);
	uint64_t now = clock_ns() - run->origin_ns;
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

/* Sends the queries of n slots of one flow in one call. A slot whose query does not leave is recorded as failed.
 * Queries that waited for their connection began with it. */
static void send_slots(uint32_t flow_number, const uint32_t *numbers, uint32_t n, bool waited)
{
	static uint8_t queries[BATCH][QUERY_MAX + 2];
	static struct mmsghdr messages[BATCH];
	static struct iovec parts[BATCH];
	struct flow *flow = &flows[flow_number];
	const uint32_t prefix = over_tcp ? 2 : 0;
	size_t total = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct slot *slot = &slots[numbers[i]];
		uint32_t size = run->entry_sizes[slot->entry];
		memcpy(queries[i] + prefix, run->entries[slot->entry], size);
		queries[i][prefix] = (uint8_t)(slot->id >> 8);
		queries[i][prefix + 1] = (uint8_t)slot->id;
		if (over_tcp) {
			queries[i][0] = (uint8_t)(size >> 8);
			queries[i][1] = (uint8_t)size;
		}
		parts[i] = (struct iovec){.iov_base = queries[i], .iov_len = size + prefix};
		total += size + prefix;
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	}
	uint64_t now = clock_ns() - run->origin_ns;
	for (uint32_t i = 0; i < n && !waited; i++)
		slots[numbers[i]].start_ns = now;
	if (flow->connecting)
		return; /* sent when the connection stands */
	int sent;
	if (over_tcp) {
		ssize_t written = writev(flow->fd, parts, (int)n);
		if (written > 0 && (size_t)written < total) {
			fail_flow(flow_number); /* what comes next would be read as the rest of a query */
			return;
		}
		sent = written > 0 ? (int)n : -1;
	} else {
		sent = sendmmsg(flow->fd, messages, n, MSG_NOSIGNAL);
	}
	for (uint32_t i = sent < 0 ? 0 : (uint32_t)sent; i < n; i++)
		finish(numbers[i], clock_ns() - run->origin_ns, OUTCOME_SOCKET, 0, 0);
}

static void connected(uint32_t number)
{
	struct flow *flow = &flows[number];
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
		fail_flow(number);
		return;
	}
	flow->connecting = false;
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
	epoll_ctl(poller, EPOLL_CTL_MOD, flow->fd, &event);
	const uint32_t end = (number + 1) * slots_per_flow;
	for (uint32_t i = end - slots_per_flow; i < end && flow->fd >= 0;) {
		uint32_t numbers[BATCH], n = 0;
		for (; i < end && n < BATCH; i++)
			if (slots[i].used)
				numbers[n++] = i;
		if (n)
			send_slots(number, numbers, n, true);
	}
}

static uint16_t next_entry(void)
{
	uint64_t number = atomic_fetch_add(&run->n_tickets, 1);
	return (uint16_t)(number % (run->job.n_entries / per_arrival) * per_arrival);
}

static bool capped(void)
{
	return run->job.max_lookups && atomic_load(&run->n_tickets) >= run->job.max_lookups;
}

/* Recorded without a query on the wire: no socket could be had, or no place on one. */
static void put_unsent(uint16_t entry, uint64_t intended_ns, int outcome, uint32_t flags)
{
	struct record record = {.intended_ns = intended_ns, .outcome = (int16_t)outcome, .name = entry, .flags = flags};
	record.start_ns = record.end_ns = clock_ns() - run->origin_ns;
	record.flags |= intended_ns < run->warmup_end_ns ? FLAG_WARMUP : 0u;
	record.flags |= entry_type(entry) == 28 ? FLAG_AAAA : 0u;
	ring_put(run, ring, &record);
}

static uint32_t pick_flow(void)
{
	if (!fresh) {
		uint32_t number = next_flow++ % n_flows;
		return flows[number].fd >= 0 || open_flow(number) ? number : NONE;
	}
	if (!n_free_flows)
		return NONE;
	uint32_t number = free_flows[--n_free_flows];
	if (open_flow(number))
		return number;
	free_flows[n_free_flows++] = number;
	return NONE;
}

/* One arrival: a query, or a pair on one socket or two. */
static void send_arrival(uint64_t intended_ns)
{
	uint16_t entry = next_entry();
	bool apart = run->job.arrangement == ARRANGE_PAIR_TWO_SOCKETS;
	uint32_t flow = NONE, numbers[2], n = 0;
	for (uint16_t i = 0; i < per_arrival; i++) {
		if (i == 0 || apart)
			flow = pick_flow();
		uint32_t number = flow == NONE ? NONE : take_slot(flow, (uint16_t)(entry + i), intended_ns);
		if (number == NONE)
			put_unsent((uint16_t)(entry + i), intended_ns,
				   flow == NONE && n_free_flows ? OUTCOME_SOCKET : OUTCOME_NOT_STARTED,
				   flow == NONE && n_free_flows ? 0u : FLAG_WORKERS_EXHAUSTED);
		else
			numbers[n++] = number;
		if (n && (apart || i + 1u == per_arrival)) {
			send_slots(flow, numbers, n, false);
			n = 0;
		}
	}
}

static void expire(uint64_t now)
{
	while (oldest != NONE && now >= slots[oldest].start_ns && now - slots[oldest].start_ns >= run->job.deadline_ns)
		finish(oldest, now, OUTCOME_NO_ANSWER, 0, 0);
}

/* Closed loop: every socket has its queries in flight; a fresh one is a new socket each time. */
static void refill(uint64_t now)
{
	if (fresh) {
		const uint32_t n_needed = run->job.arrangement == ARRANGE_PAIR_TWO_SOCKETS ? 2u : 1u;
		/* Each free socket once: one that fails at once is free again, and would be for ever. */
		for (uint32_t n = n_free_flows / n_needed; n && n_free_flows >= n_needed && !capped(); n--)
			send_arrival(now);
		return;
	}
	for (uint32_t number = 0; number < n_flows; number++) {
		struct flow *flow = &flows[number];
		uint32_t outstanding = run->job.outstanding ? run->job.outstanding : 1;
		/* Half of them at a time: one call then carries several queries. */
		if (flow->n_in_flight > outstanding / 2 || capped())
			continue;
		if (flow->fd < 0 && !open_flow(number)) {
			uint16_t entry = next_entry();
			for (uint16_t i = 0; i < per_arrival; i++)
				put_unsent((uint16_t)(entry + i), now, OUTCOME_SOCKET, 0);
			continue;
		}
		uint32_t numbers[BATCH], n = 0;
		while (n < BATCH && flow->n_in_flight + per_arrival <= outstanding + (per_arrival - 1) && !capped()) {
			uint16_t entry = next_entry();
			for (uint16_t i = 0; i < per_arrival && n < BATCH; i++) {
				uint32_t taken = take_slot(number, (uint16_t)(entry + i), now);
				if (taken != NONE)
					numbers[n++] = taken;
			}
		}
		if (n)
			send_slots(number, numbers, n, false);
		for (uint32_t i = 0; i < n; i++)
			slots[numbers[i]].intended_ns = slots[numbers[i]].start_ns;
	}
}

static void wait_for(uint64_t until_ns)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t at = run->origin_ns + until_ns;
	struct itimerspec when = {
	    .it_value = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)}};
	timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
	int n = epoll_wait(poller, events, EVENTS_MAX, 100);
	for (int i = 0; i < n; i++) {
		uint32_t number = events[i].data.u32;
		if (number == TIMER) {
			uint64_t expirations;
			if (read(timer, &expirations, sizeof(expirations)) < 0)
				continue;
		} else if (flows[number].fd >= 0) {
			if (flows[number].connecting && events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
				connected(number);
			else
				(over_tcp ? receive_tcp : receive_udp)(number);
		}
	}
}

void wire_run(struct run *of)
{
	const bool open_loop = of->job.loop != LOOP_CLOSED;
	uint64_t next_ns = open_loop ? next_arrival(&of->job, 0) : 0;
	sleep_until(of->origin_ns);
	take_offset();
	for (;;) {
		uint64_t now = clock_ns() - of->origin_ns;
		if (now + of->origin_ns - offset_taken_ns > 1000000000u)
			take_offset();
		bool ended = atomic_load(&of->stopping) || capped();
		expire(now);
		/* Also after the load's end: an arrival that was due before it is late, not left out. */
		while (open_loop && !ended && next_ns <= now && next_ns < of->load_end_ns) {
			uint64_t lateness = now - next_ns;
			if (lateness > atomic_load(&of->lateness_ns))
				atomic_store(&of->lateness_ns, lateness);
			send_arrival(next_ns);
			next_ns = next_arrival(&of->job, next_ns);
			ended = atomic_load(&of->stopping) || capped();
		}
		const bool over = ended || now >= of->load_end_ns;
		if (!open_loop && !over)
			refill(now);
		atomic_store(&of->n_in_flight, n_in_flight);
		if (over && !n_in_flight)
			return;
		uint64_t until = now + 10000000u;
		if (open_loop && !over && next_ns < until)
			until = next_ns;
		if (oldest != NONE && slots[oldest].start_ns + of->job.deadline_ns < until)
			until = slots[oldest].start_ns + of->job.deadline_ns;
		wait_for(until);
	}
}
