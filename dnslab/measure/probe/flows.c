/*
 * Engine wire, its sockets and the queries in flight on them. A flow is one socket; a slot is one query.
 *
 * Knows nothing of how queries are sent or answers read.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct wire wire = {.oldest = NONE};

static uint32_t newest = NONE;
static uint32_t *free_flows; /* mode fresh */
static uint32_t next_flow;   /* mode sticky */
static uint64_t n_ids;

static void close_flow(struct flow *flow)
{
	if (flow->fd >= 0)
		close(flow->fd);
	flow->fd = -1;
	flow->buffered = 0;
	flow->connecting = false;
}

bool flows_alloc(uint32_t n)
{
	wire.n_flows = n;
	wire.flows = calloc(n, sizeof(*wire.flows));
	wire.slots = calloc((size_t)n * wire.slots_per_flow, sizeof(*wire.slots));
	free_flows = calloc(n, sizeof(*free_flows));
	if (!wire.flows || !wire.slots || !free_flows)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		wire.flows[i].fd = -1;
		free_flows[wire.n_free_flows++] = n - 1 - i;
	}
	return true;
}

bool open_flow(uint32_t number)
{
	struct flow *flow = &wire.flows[number];
	const int on = 1;
	int type = (wire.over_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
	if (wire.over_tcp && !flow->buffer)
		flow->buffer = malloc(TCP_BUFFER);
	if (wire.over_tcp && !flow->buffer)
		return false;
	flow->fd = socket(wire.server.ss_family, type, 0);
	if (flow->fd < 0)
		return false;
	if (wire.over_tcp) {
		setsockopt(flow->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	} else {
		setsockopt(flow->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	}
	if (!ports_bind(flow->fd, wire.server.ss_family)) {
		close_flow(flow);
		return false;
	}
	flow->connecting = false;
	if (connect(flow->fd, (const struct sockaddr *)&wire.server, wire.server_size)) {
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
	if (epoll_ctl(wire.poller, EPOLL_CTL_ADD, flow->fd, &event)) {
		close_flow(flow);
		return false;
	}
	return true;
}

uint32_t pick_flow(void)
{
	if (!wire.fresh) {
		uint32_t number = next_flow++ % wire.n_flows;
		return wire.flows[number].fd >= 0 || open_flow(number) ? number : NONE;
	}
	if (!wire.n_free_flows)
		return NONE;
	uint32_t number = free_flows[--wire.n_free_flows];
	if (open_flow(number))
		return number;
	free_flows[wire.n_free_flows++] = number;
	return NONE;
}

/* Of what is known before the query is sent. */
uint32_t query_flags(uint16_t entry, uint64_t intended_ns)
{
	uint16_t type = question_type(wire.run->entries[entry], wire.run->entry_sizes[entry]);
	return (type == DNS_TYPE_AAAA ? FLAG_AAAA : 0u) | (intended_ns < wire.run->warmup_end_ns ? FLAG_WARMUP : 0u);
}

uint32_t take_slot(uint32_t flow_number, uint16_t entry, uint64_t intended_ns)
{
	struct flow *flow = &wire.flows[flow_number];
	for (uint32_t tried = 0; tried < wire.slots_per_flow; tried++) {
		uint32_t place = flow->n_free_from++ & (wire.slots_per_flow - 1);
		uint32_t number = flow_number * wire.slots_per_flow + place;
		struct slot *slot = &wire.slots[number];
		if (slot->used)
			continue;
		*slot = (struct slot){.intended_ns = intended_ns,
				      .flow = flow_number,
				      .next = NONE,
				      .previous = newest,
				      .entry = entry,
				      .used = true};
		/* The low bits are the slot's place, so that an answer finds its slot. The other bits are random, so
		 * that a late answer to an earlier query of this slot does not match. */
		slot->id =
		    (uint16_t)((mix(wire.run->job.seed ^ ++n_ids) & ~(uint64_t)(wire.slots_per_flow - 1)) | place);
		slot->flags = query_flags(entry, intended_ns) | (wire.over_tcp ? FLAG_TCP : 0u);
		if (newest != NONE)
			wire.slots[newest].next = number;
		else
			wire.oldest = number;
		newest = number;
		flow->n_in_flight++;
		wire.n_in_flight++;
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
	    .worker = wire.flows[slot->flow].port | (uint32_t)slot->id << 16,
	    .outcome = (int16_t)outcome,
	    .name = slot->entry,
	    .flags = slot->flags | flags,
	    .answers = answers,
	};
	ring_put(wire.run, wire.ring, &record);
}

static void release_slot(uint32_t number)
{
	struct slot *slot = &wire.slots[number];
	struct flow *flow = &wire.flows[slot->flow];
	if (slot->previous != NONE)
		wire.slots[slot->previous].next = slot->next;
	else
		wire.oldest = slot->next;
	if (slot->next != NONE)
		wire.slots[slot->next].previous = slot->previous;
	else
		newest = slot->previous;
	slot->used = false;
	flow->n_in_flight--;
	wire.n_in_flight--;
	if (wire.fresh && !flow->n_in_flight) {
		close_flow(flow);
		free_flows[wire.n_free_flows++] = slot->flow;
	}
}

void finish(uint32_t number, uint64_t end_ns, int outcome, uint32_t flags, uint32_t answers)
{
	put(&wire.slots[number], end_ns, outcome, flags, answers);
	release_slot(number);
}

void fail_flow(uint32_t number)
{
	uint64_t now = clock_ns() - wire.run->origin_ns;
	uint32_t first = number * wire.slots_per_flow;
	for (uint32_t i = first; i < first + wire.slots_per_flow; i++)
		if (wire.slots[i].used)
			finish(i, now, OUTCOME_SOCKET, 0, 0);
	if (!wire.fresh)
		close_flow(&wire.flows[number]);
}
