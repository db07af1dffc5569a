/*
 * Engine wire: raw queries over UDP or TCP, for controls (A alone, a pair on one socket or on two) and for capacity.
 *
 * One thread does all the network. This file decides when a query is sent and how long its answer is waited for.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FRESH_FLOWS_MAX 16384u
#define EVENTS_MAX 64
#define SLOTS_PER_FLOW_MAX 4096u
#define SLOTS_PER_FLOW_OPEN_LOOP 256u /* more in flight on a sticky socket are recorded as "not started" */
#define SLOTS_MAX (1u << 23) /* of all sockets: half a GiB, of which only what is in flight is touched */
#define TIMER UINT32_MAX     /* in place of a flow's number */

static int timer;
static uint32_t per_arrival; /* queries an arrival sends: 1, or 2 for a pair */

/* Why the job cannot be done, or NULL. */
static const char *check_job(const struct run *run)
{
	const struct job *job = &run->job;
	if ((job->nameserver_family != 4 && job->nameserver_family != 6) || !job->nameserver_port)
		return "engine wire needs a nameserver";
	if (job->arrangement > ARRANGE_PAIR_TWO_SOCKETS || job->transport > TRANSPORT_TCP)
		return "the job asks for an arrangement or transport that this probe does not have";
	if (job->arrangement != ARRANGE_SINGLE && job->n_entries % 2)
		return "a pair arrangement needs an even number of queries";
	for (uint32_t i = 0; i < job->n_entries; i++)
		if (!is_query(run->entries[i], run->entry_sizes[i]))
			return "an entry of the job is no DNS query";
	if (job->outstanding > SLOTS_PER_FLOW_MAX)
		return "the job asks for more than 4,096 queries in flight on a socket";
	return NULL;
}

static void set_server(const struct job *job)
{
	if (job->nameserver_family == 4) {
		struct sockaddr_in *address = (struct sockaddr_in *)&wire.server;
		address->sin_family = AF_INET;
		address->sin_port = htons(job->nameserver_port);
		memcpy(&address->sin_addr, job->nameserver, 4);
		wire.server_size = sizeof(*address);
	} else {
		struct sockaddr_in6 *address = (struct sockaddr_in6 *)&wire.server;
		address->sin6_family = AF_INET6;
		address->sin6_port = htons(job->nameserver_port);
		memcpy(&address->sin6_addr, job->nameserver, 16);
		wire.server_size = sizeof(*address);
	}
}

/* Also sets slots_per_flow. */
static uint32_t count_flows(const struct job *job)
{
	uint32_t wanted = job->outstanding;
	if (job->loop != LOOP_CLOSED)
		wanted = SLOTS_PER_FLOW_OPEN_LOOP;
	wire.slots_per_flow = 2;
	if (!wire.fresh) {
		while (wire.slots_per_flow < wanted)
			wire.slots_per_flow *= 2;
		return job->workers;
	}
	if (job->loop != LOOP_CLOSED)
		return FRESH_FLOWS_MAX;
	return job->arrangement == ARRANGE_PAIR_TWO_SOCKETS ? 2 * job->workers : job->workers;
}

const char *wire_prepare(struct run *run)
{
	const struct job *job = &run->job;
	const char *reason = check_job(run);
	if (!reason)
		reason = ports_prepare(job);
	if (reason)
		return reason;
	wire.run = run;
	wire.over_tcp = job->transport == TRANSPORT_TCP;
	wire.fresh = job->mode == MODE_FRESH;
	per_arrival = job->arrangement == ARRANGE_SINGLE ? 1 : 2;
	set_server(job);
	uint32_t n_flows = count_flows(job);
	if ((uint64_t)n_flows * wire.slots_per_flow > SLOTS_MAX)
		return "the job asks for too many queries in flight: fewer sockets, or fewer on each";
	run->rings = rings_alloc(1);
	run->n_rings = 1;
	atomic_store(&run->n_rings_used, 1);
	if (!flows_alloc(n_flows) || !run->rings || !ring_alloc(run->rings, RING_RECORDS_TOTAL))
		return "out of memory";
	wire.ring = run->rings;
	wire.poller = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = TIMER};
	if (wire.poller < 0 || timer < 0 || epoll_ctl(wire.poller, EPOLL_CTL_ADD, timer, &event))
		return "no epoll or timer descriptor can be had";
	return NULL;
}

static uint16_t next_entry(void)
{
	uint64_t number = atomic_fetch_add(&wire.run->n_tickets, 1);
	return (uint16_t)(number % (wire.run->job.n_entries / per_arrival) * per_arrival);
}

static bool capped(void)
{
	return wire.run->job.max_lookups && atomic_load(&wire.run->n_tickets) >= wire.run->job.max_lookups;
}

/* Records a query that was not sent: there was no socket for it, or no free slot. */
static void put_unsent(uint16_t entry, uint64_t intended_ns, int outcome, uint32_t flags)
{
	struct record record = {.intended_ns = intended_ns, .outcome = (int16_t)outcome, .name = entry, .flags = flags};
	record.start_ns = record.end_ns = clock_ns() - wire.run->origin_ns;
	record.flags |= query_flags(entry, intended_ns);
	ring_put(wire.run, wire.ring, &record);
}

/* One arrival: a query, or a pair on one socket or two. */
static void send_arrival(uint64_t intended_ns)
{
	uint16_t entry = next_entry();
	bool apart = wire.run->job.arrangement == ARRANGE_PAIR_TWO_SOCKETS;
	uint32_t flow = NONE, numbers[2], n = 0;
	for (uint16_t i = 0; i < per_arrival; i++) {
		if (i == 0 || apart)
			flow = pick_flow();
		uint32_t number = flow == NONE ? NONE : take_slot(flow, (uint16_t)(entry + i), intended_ns);
		if (number == NONE)
			put_unsent((uint16_t)(entry + i), intended_ns,
				   flow == NONE && wire.n_free_flows ? OUTCOME_SOCKET : OUTCOME_NOT_STARTED,
				   flow == NONE && wire.n_free_flows ? 0u : FLAG_WORKERS_EXHAUSTED);
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
	while (wire.oldest != NONE && now >= wire.slots[wire.oldest].start_ns &&
	       now - wire.slots[wire.oldest].start_ns >= wire.run->job.deadline_ns)
		finish(wire.oldest, now, OUTCOME_NO_ANSWER, 0, 0);
}

/* Closed loop: keeps queries in flight on every socket; in mode fresh, each query or pair gets a new socket. */
static void refill(uint64_t now)
{
	if (wire.fresh) {
		const uint32_t n_needed = wire.run->job.arrangement == ARRANGE_PAIR_TWO_SOCKETS ? 2u : 1u;
		/* Each free flow is tried once: a flow whose socket fails is free again at once, so a loop that ends when
		 * none is free would not end. */
		for (uint32_t n = wire.n_free_flows / n_needed; n && wire.n_free_flows >= n_needed && !capped(); n--)
			send_arrival(now);
		return;
	}
	for (uint32_t number = 0; number < wire.n_flows; number++) {
		struct flow *flow = &wire.flows[number];
		uint32_t outstanding = wire.run->job.outstanding ? wire.run->job.outstanding : 1;
		/* Wait until half of them are answered: one system call then carries several queries. */
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
			wire.slots[numbers[i]].intended_ns = wire.slots[numbers[i]].start_ns;
	}
}

static void wait_for(uint64_t until_ns)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t at = wire.run->origin_ns + until_ns;
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)}};
	timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
	int n = epoll_wait(wire.poller, events, EVENTS_MAX, 100);
	for (int i = 0; i < n; i++) {
		uint32_t number = events[i].data.u32;
		if (number == TIMER) {
			uint64_t expirations;
			if (read(timer, &expirations, sizeof(expirations)) < 0)
				continue;
		} else if (wire.flows[number].fd >= 0) {
			if (wire.flows[number].connecting && events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
				connected(number);
			else
				receive(number);
		}
	}
}

void wire_run(struct run *of)
{
	const bool open_loop = of->job.loop != LOOP_CLOSED;
	uint64_t next_ns = open_loop ? next_arrival(&of->job, 0) : 0;
	sleep_until(of->origin_ns);
	take_offset();
	ports_begin(of);
	for (;;) {
		uint64_t now = clock_ns() - of->origin_ns;
		if (now + of->origin_ns - wire.offset_taken_ns > NS_PER_S)
			take_offset();
		bool ended = atomic_load(&of->stopping) || capped();
		expire(now);
		/* Also after the load's end: an arrival that was due before the end is sent late, not left out. */
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
		atomic_store(&of->n_in_flight, wire.n_in_flight);
		if (over && !wire.n_in_flight)
			return;
		uint64_t until = now + 10000000u;
		if (open_loop && !over && next_ns < until)
			until = next_ns;
		if (wire.oldest != NONE && wire.slots[wire.oldest].start_ns + of->job.deadline_ns < until)
			until = wire.slots[wire.oldest].start_ns + of->job.deadline_ns;
		wait_for(until);
	}
}
