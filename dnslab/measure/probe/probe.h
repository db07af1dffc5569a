/*
 * What the parts of the probe share. main.c uses conversation.c, that the engines (libc.c, wire.c), and all of them
 * util.c; the files of engine wire (wire.h) also message.c. Nothing is used the other way.
 */
#ifndef DNSLAB_PROBE_H
#define DNSLAB_PROBE_H

#include "format.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Records waiting for the writer, over all workers: 20 s at 13,000 lookups/s, should the controller not read. */
#define RING_RECORDS_TOTAL (1u << 18)
#define RING_RECORDS_MIN 64u
#define RING_RECORDS_MAX (1u << 16)

/* One producer, one consumer. head and tail only grow; record n stands at n modulo the size. */
struct ring {
	_Alignas(64) atomic_uint_fast64_t head; /* written by the producer */
	_Alignas(64) atomic_uint_fast64_t tail; /* written by the writer */
	struct record *records;
	uint32_t size; /* a power of two */
};

struct run {
	struct job job;
	const char **entries; /* libc: NUL-terminated names. wire: queries */
	uint16_t *entry_sizes;
	struct ring *rings; /* workers, then one for the watchdog */
	uint32_t n_rings;   /* allocated */
	atomic_uint n_rings_used;
	uint64_t origin_ns; /* start instant; set before any worker runs */
	uint64_t warmup_end_ns; /* the following are relative to origin_ns */
	uint64_t load_end_ns;
	atomic_bool stopping; /* no new lookups */
	atomic_bool engine_done;
	atomic_uint_fast64_t last_intended_ns; /* open loop: the ticket taken last */
	atomic_uint_fast64_t n_tickets;
	atomic_uint_fast64_t lateness_ns;
	atomic_uint_fast64_t blocked_ns;
	atomic_uint_fast64_t n_abandoned;
	atomic_uint_fast64_t n_replaced;
	atomic_uint_fast64_t n_in_flight; /* as the engine last saw it */
	atomic_uint end_status;
};

#define NS_PER_S 1000000000u
#define NS_PER_MS 1000000u

/* Exit statuses. */
#define STATUS_DONE 0
#define STATUS_GONE 1    /* the controller went away, or the hard deadline passed */
#define STATUS_REFUSED 2 /* a job that cannot be done, or a wrong call */

/* util.c */
uint64_t clock_ns(void);    /* CLOCK_MONOTONIC */
uint64_t realtime_ns(void); /* CLOCK_REALTIME */
void sleep_until(uint64_t monotonic_ns);

/* splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
uint64_t mix(uint64_t value);

/* CRC-32 as in zip (IEEE 802.3); crc_init comes first. Give the checksum of what came before, 0 at the start. */
void crc_init(void);
uint32_t crc32_of(uint32_t crc, const void *data, size_t size);

/* The open loop's next arrival: a pure function of seed and the one before, so the schedule is the same whichever
 * worker takes it, and taking it needs one compare-and-swap. Relative to the start instant. */
uint64_t next_arrival(const struct job *job, uint64_t last_ns);

/* Gives a record to the writer. Where the ring is full, because the controller has not read for long, it waits and adds
 * the wait to blocked_ns. */
void ring_put(struct run *run, struct ring *ring, const struct record *record);
struct ring *rings_alloc(uint32_t n); /* rings without room: see ring_alloc; NULL: out of memory */
bool ring_alloc(struct ring *ring, uint32_t size);

/* message.c. Header fields: RFC 1035, section 4.1.1; AAAA: RFC 3596. */
#define DNS_HEADER_BYTES 12u
#define DNS_RESPONSE 0x80  /* byte 2: QR */
#define DNS_TRUNCATED 0x02 /* byte 2: TC */
#define DNS_RCODE 0x0f     /* byte 3 */
#define DNS_TYPE_A 1u
#define DNS_TYPE_AAAA 28u
#define QUERY_MAX 512u /* bytes of a query */
bool is_query(const char *query, uint32_t size);
uint16_t question_type(const char *query, uint32_t size); /* of a query that is one */
/* Counts the addresses in an answer whose records begin at byte `at`: low half A, high half AAAA. */
uint32_t count_answers(const uint8_t *message, uint32_t size, uint32_t at);

/* conversation.c: all of it, to the exit status. */
int converse(void);

/* libc.c and wire.c. An engine: prepare allocates and says why it cannot (static text) or NULL; run returns when the last lookup ended. */
const char *libc_prepare(struct run *run);
void libc_run(struct run *run);
const char *libc_version_text(void);
extern const uint16_t libc_kind;
const char *wire_prepare(struct run *run);
void wire_run(struct run *run);

/* links.c: a status of the program; needs CAP_NET_ADMIN. */
int delete_link(const char *name);

#endif
