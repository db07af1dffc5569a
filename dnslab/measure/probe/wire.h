/*
 * What the files of engine wire share: wire.c (when to send) uses packets.c (bytes) and flows.c (sockets), packets.c
 * uses flows.c, and flows.c uses ports.c. Nothing is used the other way. All of it runs in one thread.
 */
#ifndef DNSLAB_WIRE_H
#define DNSLAB_WIRE_H

#include "probe.h"

#include <sys/socket.h>

#define BATCH 32u /* queries or answers in one system call */
#define TCP_BUFFER 8192u
#define NONE UINT32_MAX

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

struct wire {
	struct run *run;
	struct ring *ring;
	struct flow *flows;
	struct slot *slots;
	uint32_t n_flows;
	uint32_t slots_per_flow; /* a power of two */
	uint32_t oldest;         /* slot of the query longest in flight, or NONE */
	uint32_t n_in_flight;
	uint32_t n_free_flows; /* mode fresh */
	int poller;
	uint64_t offset_taken_ns; /* when the clocks were last compared */
	bool over_tcp, fresh;
	struct sockaddr_storage server;
	socklen_t server_size;
};
extern struct wire wire;

/* ports.c */
const char *ports_prepare(const struct job *job); /* why the job's sockets cannot have ports, or NULL */
void ports_begin(const struct run *run);
bool ports_bind(int fd, int family); /* to a port that has rested; false: there is none */

/* flows.c */
bool flows_alloc(uint32_t n); /* n flows of wire.slots_per_flow slots; false: out of memory */
bool open_flow(uint32_t number); /* false: no socket can be had */
uint32_t pick_flow(void); /* an open flow for the next query; NONE: there is none, or no socket can be had */
uint32_t query_flags(uint16_t entry, uint64_t intended_ns);
uint32_t take_slot(uint32_t flow_number, uint16_t entry, uint64_t intended_ns); /* NONE: the flow has no free slot */
/* Records the query of a slot and frees the slot. */
void finish(uint32_t number, uint64_t end_ns, int outcome, uint32_t flags, uint32_t answers);
void fail_flow(uint32_t number); /* a socket failed: all queries in flight on it fail, too */

/* packets.c */
void take_offset(void); /* of the wall clock to the monotonic clock; to be taken again every second */
void receive(uint32_t flow_number);
/* Sends the queries of n slots of one flow in one call. A slot whose query does not leave is recorded as failed.
 * Queries that waited for their connection keep the start that they have. */
void send_slots(uint32_t flow_number, const uint32_t *numbers, uint32_t n, bool waited);
void connected(uint32_t number); /* sends what waited for the connection */

#endif
