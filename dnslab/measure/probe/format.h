/*
 * The one place that documents every byte between the probe and its controller.
 *
 * All integers are little-endian; no struct has padding. dnslab/store/stream.py (what the probe sends) and
 * dnslab/measure/probe/job.py (what it is sent) mirror this file: change both sides and raise FORMAT_VERSION.
 *
 *   controller                         probe
 *   job (struct job + entries)   -->
 *                                <--   frame DNSR (struct stream_header): ready, or frame FAIL (text): refused
 *   command PING (any number)    -->
 *                                <--   frame CLCK (struct clock_reply), one per PING
 *   command GO   (start instant) -->
 *                                <--   frames RECS (records) and BEAT (heartbeat), as they come
 *   [command STOP]               -->         no new lookups; those in flight end or reach their deadline
 *                                <--   frame TAIL (struct trailer)
 *   command ACK                  -->         the probe exits; it also exits on EOF, EPIPE and its hard deadline
 *
 * A raw file (.dnsr) is the probe's bytes as they came, so it begins with "DNSR" and is whole when it ends with a
 * TAIL whose totals agree.
 *
 * FORMAT_VERSION history: 1, first.
 */
#ifndef DNSLAB_FORMAT_H
#define DNSLAB_FORMAT_H

#include <stdint.h>

#define FORMAT_VERSION 1

#define FOURCC(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* Frames: probe to controller. */
#define FRAME_HEADER FOURCC('D', 'N', 'S', 'R')
#define FRAME_CLOCK FOURCC('C', 'L', 'C', 'K')
#define FRAME_RECORDS FOURCC('R', 'E', 'C', 'S')
#define FRAME_HEARTBEAT FOURCC('B', 'E', 'A', 'T')
#define FRAME_TRAILER FOURCC('T', 'A', 'I', 'L')
#define FRAME_FAILURE FOURCC('F', 'A', 'I', 'L')

struct frame {
	uint32_t kind;
	uint32_t sequence; /* 0 for the header frame, then +1 a frame of any kind */
	uint32_t size;     /* payload bytes that follow, at most FRAME_PAYLOAD_MAX */
	uint32_t crc;      /* CRC-32 (zlib's) of the payload */
};
#define FRAME_PAYLOAD_MAX (1u << 20)

struct stream_header {
	uint16_t version; /* FORMAT_VERSION */
	uint16_t record_size;
	uint32_t executable_crc; /* CRC-32 of /proc/self/exe, so that a bad upload shows */
	uint64_t executable_size;
	uint64_t monotonic_ns; /* both clocks read together: the anchor of the trial's times */
	uint64_t realtime_ns;
	uint16_t libc; /* LIBC_* */
	uint16_t engine;
	uint32_t n_cpus;      /* usable by the probe (sched_getaffinity) */
	char libc_version[16]; /* as the C library states it; zero padded; empty where it has no way to say */
	char machine[16];      /* uname -m */
};
#define LIBC_GLIBC 1
#define LIBC_MUSL 2
#define LIBC_MUSL_STATIC 3

struct clock_reply {
	uint64_t echo; /* value of the PING */
	uint64_t monotonic_ns;
	uint64_t realtime_ns;
};

/* One lookup (engine libc) or one query (engine wire). */
struct record {
	uint64_t intended_ns; /* since the start instant: when the schedule wanted it; closed loop: = start_ns */
	uint64_t start_ns; /* when it began; wire: right before the call that sends it, one for a pair on one socket */
	uint64_t end_ns; /* when the resolver returned; wire: kernel's receive time stamp; given up: that moment */
	uint32_t worker; /* libc: worker. wire: local port in the low half, query id in the high half */
	int16_t outcome; /* 0; libc: EAI_* (negative); wire: RCODE (positive); or OUTCOME_* */
	uint16_t name; /* index of the job's entry */
	uint32_t flags; /* FLAG_* */
	uint32_t answers; /* addresses returned: low half A, high half AAAA */
};

#define OUTCOME_ABANDONED (-32768) /* still in the resolver at the probe's own deadline */
#define OUTCOME_NO_ANSWER (-32767) /* wire: no answer until the deadline */
#define OUTCOME_SOCKET (-32766) /* wire: socket, connect, send or ICMP error */
#define OUTCOME_NOT_STARTED (-32765) /* open loop: no worker was free for it before the load's end */

#define FLAG_HALF_LOST 1u /* glibc fell back to single-request: one of two parallel answers came */
#define FLAG_HALF_LOST_TWICE 2u /* glibc fell back to single-request-reopen */
#define FLAG_WARMUP 4u /* intended before the warm-up ended: not measured */
#define FLAG_WORKERS_EXHAUSTED 8u /* open loop: every worker was inside the resolver when its time came */
#define FLAG_TRUNCATED 16u /* wire: TC bit */
#define FLAG_AAAA 32u /* wire: the query asked for AAAA */
#define FLAG_TCP 64u /* wire: over TCP */

struct heartbeat {
	uint64_t elapsed_ns; /* since the start instant */
	uint64_t n_done; /* lookups ended, warm-up included, abandoned included */
	uint64_t n_failed; /* outcome != 0 */
	uint64_t n_over_limit;
	uint64_t n_stalls; /* service time at or over the job's stall_ns */
	uint64_t n_in_flight;
	uint64_t lateness_ns; /* largest start - intended since the last heartbeat, worker idle */
	uint64_t blocked_ns; /* total time workers waited because the controller did not read */
};

struct trailer {
	uint64_t n_records;
	uint32_t records_crc; /* CRC-32 of all record bytes in stream order */
	uint32_t status; /* END_* */
	uint64_t elapsed_ns;
	uint64_t monotonic_ns; /* second clock anchor */
	uint64_t realtime_ns;
	uint64_t user_ns; /* the probe's own CPU time */
	uint64_t system_ns;
	uint64_t n_abandoned;
	uint64_t n_replaced;
	uint64_t blocked_ns;
	uint64_t max_rss_bytes;
};
#define END_COMPLETE 0
#define END_STOPPED 1 /* STOP, before the load's end */
#define END_WORKERS_LOST 2 /* abandoned workers could not be replaced any more */

/* Commands: controller to probe, after the job. */
struct command {
	uint32_t kind;
	uint32_t zero;
	uint64_t value; /* PING: echoed; GO: start instant, probe's CLOCK_MONOTONIC; else 0 */
};
#define COMMAND_PING FOURCC('P', 'I', 'N', 'G')
#define COMMAND_GO FOURCC('G', 'O', ' ', ' ')
#define COMMAND_STOP FOURCC('S', 'T', 'O', 'P')
#define COMMAND_ACK FOURCC('A', 'C', 'K', ' ')

/* The job: this struct, then n_entries times {uint16_t length; length bytes}.
 * libc: the name in text, no NUL. wire: a DNS query in wire format, its id set by the probe at each sending. With a
 * pair arrangement entries 2k (A) and 2k+1 (AAAA) go together. */
struct job {
	uint32_t magic; /* JOB_MAGIC */
	uint16_t version;
	uint16_t engine; /* ENGINE_* */
	uint32_t size; /* whole job in bytes, this struct included */
	uint32_t crc; /* CRC-32 of all that follows this field */
	uint16_t loop; /* LOOP_* */
	uint16_t mode; /* MODE_* */
	uint32_t workers; /* libc: threads. wire: sockets (mode sticky) */
	uint32_t n_entries;
	uint32_t outstanding; /* wire, closed loop: queries in flight a socket */
	uint64_t rate_per_1000s; /* open loop: arrivals per 1,000 s */
	uint64_t warmup_ns; /* at the head of the load, flagged in the records */
	uint64_t duration_ns; /* after the warm-up */
	uint64_t seed;
	uint64_t deadline_ns; /* per lookup */
	uint64_t hard_deadline_ns; /* of the process, from its start */
	uint64_t limit_ns; /* "over limit" in heartbeats */
	uint64_t stall_ns; /* "stalls" in heartbeats */
	uint32_t heartbeat_ms;
	uint32_t max_replaced; /* workers that may be replaced after an abandoned lookup */
	uint64_t max_lookups; /* 0: no cap */
	uint32_t patch; /* PATCH_*: which of the following go into glibc's _res after res_ninit */
	uint32_t res_options; /* PATCH_OPTIONS: bits or-ed into _res.options (RES_* of <resolv.h>) */
	uint16_t ndots;
	uint16_t timeout_s;
	uint16_t attempts;
	uint16_t arrangement; /* wire: ARRANGE_* */
	uint16_t transport; /* wire: TRANSPORT_* */
	uint16_t nameserver_family; /* 0 none, 4, 6 */
	uint16_t nameserver_port; /* host order */
	uint16_t ports; /* wire: PORTS_* */
	uint8_t nameserver[16]; /* network order; IPv4 in the first four bytes */
	uint16_t port_lane; /* PORTS_OWN and PORTS_SHARED: this probe's lane, from 0 */
	uint16_t n_port_lanes; /* of all probes that share the address at the same time */
	uint32_t zero;
};
#define JOB_MAGIC FOURCC('D', 'N', 'S', 'J')
#define JOB_SIZE_MAX (16u << 20)
#define ENGINE_LIBC 0
#define ENGINE_WIRE 1
#define LOOP_CLOSED 0
#define LOOP_POISSON 1
#define LOOP_FIXED 2
#define MODE_FRESH 0 /* libc: half-lost state cleared before each lookup. wire: a new socket each query or pair */
#define MODE_STICKY 1 /* libc: state kept for the thread's life. wire: sockets kept */
#define PATCH_OPTIONS 1u
#define PATCH_NDOTS 2u
#define PATCH_TIMEOUT 4u
#define PATCH_ATTEMPTS 8u
#define PATCH_NAMESERVER 16u
#define PATCH_CLEAR 32u /* with PATCH_OPTIONS: what resolv.conf may set and res_options has not is cleared */
#define ARRANGE_SINGLE 0
#define ARRANGE_PAIR_ONE_SOCKET 1
#define ARRANGE_PAIR_TWO_SOCKETS 2
#define TRANSPORT_UDP 0
#define TRANSPORT_TCP 1
#define PORTS_KERNEL 0 /* source ports are the kernel's choice */
#define PORTS_OWN 1 /* no port twice within 180 s; nobody had the address before. Open loop, UDP, mode fresh */
#define PORTS_SHARED 2 /* likewise, over all probes that send from the address, earlier ones too */

_Static_assert(sizeof(struct frame) == 16, "file format");
_Static_assert(sizeof(struct stream_header) == 72, "file format");
_Static_assert(sizeof(struct clock_reply) == 24, "file format");
_Static_assert(sizeof(struct record) == 40, "file format");
_Static_assert(sizeof(struct heartbeat) == 64, "file format");
_Static_assert(sizeof(struct trailer) == 88, "file format");
_Static_assert(sizeof(struct command) == 16, "file format");
_Static_assert(sizeof(struct job) == 160, "file format");

#endif
