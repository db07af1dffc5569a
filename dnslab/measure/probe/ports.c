/*
 * Engine wire, which source port a socket gets. Conntrack keeps a UDP flow for up to 180 s, and the race that is looked
 * for hits new flows only: no port may come again before that.
 *
 * All probes of one address walk through the ephemeral ports by the machine's clock, which gives each port one moment in
 * PERIOD. So trials need not know of each other, nor runs. Probes at the same time have lanes: every n-th place each. A
 * burst takes places ahead of the clock: at most AHEAD_MOST of them, and none that the next trial begins with.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

/* nf_conntrack_udp_timeout_stream: 120 s, in older kernels 180 s */
#define REST (180 * (uint64_t)NS_PER_S)
#define AHEAD_AT_START (2 * (uint64_t)NS_PER_S)
#define AHEAD_MOST (10 * (uint64_t)NS_PER_S)
#define PERIOD (REST + AHEAD_MOST)
#define IN_USE_MAX 64 /* ports in a row that others have open */
#define RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range"

static const struct job *job;
static uint32_t first_port, n_ports;
static uint64_t *used_ns; /* by port, when; 0: never by this probe */
static uint64_t next_place, end_place; /* places count on, from period to period */

static uint64_t place_at(uint64_t at_ns)
{
	return at_ns / PERIOD * n_ports + at_ns % PERIOD * n_ports / PERIOD;
}

static bool read_range(void)
{
	unsigned from, to;
	FILE *file = fopen(RANGE_FILE, "re");
	bool ok = file && fscanf(file, "%u %u", &from, &to) == 2 && from > 0 && from <= to && to <= UINT16_MAX;
	if (file)
		fclose(file);
	first_port = ok ? from : 0;
	n_ports = ok ? to - from + 1 : 0;
	return ok;
}

/* How many arrivals a second have ports enough. */
static double rate_that_fits(void)
{
	double load_s = ((double)job->warmup_ns + (double)job->duration_ns) / NS_PER_S;
	double period_s = (double)(job->ports == PORTS_SHARED ? PERIOD : REST) / NS_PER_S;
	if (job->ports == PORTS_OWN && load_s < period_s)
		period_s = load_s;
	double sockets = job->arrangement == ARRANGE_PAIR_TWO_SOCKETS ? 2 : 1;
	return n_ports / period_s / (job->ports == PORTS_SHARED ? job->n_port_lanes : 1) / sockets;
}

const char *ports_prepare(const struct job *of)
{
	static char reason[200];
	job = of;
	if (job->ports == PORTS_KERNEL)
		return NULL;
	if (job->ports > PORTS_SHARED || job->loop == LOOP_CLOSED || job->mode != MODE_FRESH ||
	    job->transport != TRANSPORT_UDP || job->port_lane >= job->n_port_lanes)
		return "the job asks for source ports in a way that this probe cannot give them";
	if (!read_range())
		return "the range of source ports cannot be read from " RANGE_FILE;
	used_ns = calloc(n_ports, sizeof(*used_ns));
	if (!used_ns)
		return "out of memory";
	if ((double)job->rate_per_1000s / 1000 <= rate_that_fits())
		return NULL;
	snprintf(
	    reason, sizeof(reason),
	    "%u source ports, of which none is used again within 180 s, do not suffice: at most %.0f lookups/s fit",
	    n_ports, rate_that_fits());
	return reason;
}

void ports_begin(const struct run *run)
{
	if (job->ports == PORTS_KERNEL)
		return;
	next_place = place_at(run->origin_ns + AHEAD_AT_START);
	end_place = place_at(run->origin_ns + run->load_end_ns + AHEAD_AT_START);
}

/* 0: there is none. */
static uint16_t take_port(void)
{
	const uint64_t now = clock_ns(), lanes = job->n_port_lanes, least = place_at(now);
	uint64_t place = next_place > least ? next_place : least;
	place += (job->port_lane + lanes - place % lanes) % lanes;
	if (job->ports == PORTS_SHARED && (place >= end_place || place > place_at(now + AHEAD_MOST)))
		return 0;
	uint64_t *used = &used_ns[place % n_ports];
	if (*used && now - *used < REST)
		return 0;
	*used = now;
	next_place = place + 1;
	return (uint16_t)(first_port + place % n_ports);
}

bool ports_bind(int fd, int family)
{
	if (job->ports == PORTS_KERNEL)
		return true;
	for (int i = 0; i < IN_USE_MAX; i++) {
		uint16_t port = take_port();
		struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
		struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
		const bool is_6 = family == AF_INET6;
		if (!port)
			return false;
		if (!bind(fd, is_6 ? (struct sockaddr *)&any6 : (struct sockaddr *)&any,
			  is_6 ? sizeof(any6) : sizeof(any)))
			return true;
		if (errno != EADDRINUSE)
			return false;
	}
	return false;
}
