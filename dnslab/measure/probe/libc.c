/*
 * Engine libc: getaddrinfo in threads, as applications do. Between the two stamps stands only the resolver call.
 *
 * Knows glibc's private resolver state (_res) and nothing of streams or commands.
 */
#define _GNU_SOURCE
#include "probe.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

/* getaddrinfo keeps answers on the stack. musl's default of 128 KiB leaves little room with search lists. */
#define WORKER_STACK_BYTES (256u * 1024u)
#define WATCH_INTERVAL_NS 20000000u
/* Values of worker.since_ns that are not a start time. */
#define IDLE 0u
#define ABANDONED 1u

struct worker {
	struct run *run;
	struct ring *ring;
	uint32_t number;
	atomic_uint_fast64_t
	    since_ns; /* start of the lookup in progress, or IDLE, or ABANDONED (set by the watchdog) */
	/* These describe the lookup in progress. The watchdog reads them when it takes the lookup over. */
	_Atomic uint64_t intended_ns;
	_Atomic uint32_t flags;
	_Atomic uint16_t name;
	atomic_bool ended;
};

static struct worker *workers;
static uint32_t n_workers_max;
static atomic_uint n_workers;
static struct ring *watchdog_ring;

#ifdef __GLIBC__
const uint16_t libc_kind = LIBC_GLIBC;
/* glibc sets these bits after a half-lost lookup (resolv/res_send.c, send_dg). They have the values of RES_SNGLKUP and
 * RES_SNGLKUPREOP. They stand in _res.options before 2.40, unless the fix of bug 31476 was carried back, else in
 * _flags. */
#define FELL_BACK_ONCE 0x200000ul
#define FELL_BACK_TWICE 0x400000ul
#define FELL_BACK (FELL_BACK_ONCE | FELL_BACK_TWICE)

/* RES_* of <resolv.h> that an option of resolv.conf sets, in any version: use-vc, rotate, edns0, single-request,
 * single-request-reopen, no-reload, trust-ad, no-aaaa */
#define SET_BY_FILE 0xe704008ul

struct resolver {
	unsigned long wanted;
	unsigned long known; /* mode sticky: fall-back bits that a record has reported */
};

const char *libc_version_text(void)
{
	return gnu_get_libc_version();
}

/* The job's nameserver as the only one. An IPv6 address stands in _u._ext.nsaddrs, which glibc frees, and is taken from
 * there where the family in nsaddr_list is 0 (resolv/res_send.c, get_nsaddr). */
static void set_nameserver(const struct job *job)
{
	struct sockaddr_in *server = &_res.nsaddr_list[0];
	memset(server, 0, sizeof(*server));
	if (job->nameserver_family == 6) {
		struct sockaddr_in6 *server6 = _res._u._ext.nsaddrs[0];
		if (!server6)
			server6 = malloc(sizeof(*server6));
		if (!server6)
			return; /* glibc itself gives up where memory is that short */
		memset(server6, 0, sizeof(*server6));
		server6->sin6_family = AF_INET6;
		server6->sin6_port = htons(job->nameserver_port);
		memcpy(&server6->sin6_addr, job->nameserver, 16);
		_res._u._ext.nsaddrs[0] = server6;
	} else {
		server->sin_family = AF_INET;
		server->sin_port = htons(job->nameserver_port);
		memcpy(&server->sin_addr, job->nameserver, 4);
	}
	_res.nscount = 1;
}

static void resolver_open(struct resolver *resolver, const struct job *job)
{
	res_ninit(&_res);
	if (job->patch & PATCH_CLEAR)
		_res.options &= ~SET_BY_FILE;
	if (job->patch & PATCH_OPTIONS)
		_res.options |= job->res_options;
	if (job->patch & PATCH_NDOTS)
		_res.ndots = job->ndots & 15u;
	if (job->patch & PATCH_TIMEOUT)
		_res.retrans = job->timeout_s;
	if (job->patch & PATCH_ATTEMPTS)
		_res.retry = job->attempts;
	if (job->patch & PATCH_NAMESERVER)
		set_nameserver(job);
	resolver->wanted = _res.options;
	resolver->known = 0;
}

static unsigned long fell_back(const struct resolver *resolver)
{
	return ((unsigned long)_res._flags | (_res.options & ~resolver->wanted)) & FELL_BACK;
}

static void resolver_refresh(struct resolver *resolver)
{
	_res.options = resolver->wanted;
	_res._flags &= ~(unsigned)FELL_BACK;
}

static uint32_t resolver_flags(struct resolver *resolver, bool fresh)
{
	unsigned long bits = fell_back(resolver) & ~resolver->known;
	if (!fresh)
		resolver->known |= bits;
	return (bits & FELL_BACK_ONCE ? FLAG_HALF_LOST : 0u) | (bits & FELL_BACK_TWICE ? FLAG_HALF_LOST_TWICE : 0u);
}
#else
#ifdef DNSLAB_STATIC
const uint16_t libc_kind = LIBC_MUSL_STATIC;
#else
const uint16_t libc_kind = LIBC_MUSL;
#endif

/* musl keeps no resolver state and has no call that tells its version. */
struct resolver {
	int unused;
};

const char *libc_version_text(void)
{
	return "";
}

static void resolver_open(struct resolver *resolver, const struct job *job)
{
	(void)job;
	resolver->unused = 0;
}

static void resolver_refresh(struct resolver *resolver)
{
	(void)resolver;
}

static uint32_t resolver_flags(struct resolver *resolver, bool fresh)
{
	(void)resolver;
	(void)fresh;
	return 0;
}
#endif

static uint32_t count_addresses(const struct addrinfo *found)
{
	uint32_t a = 0, aaaa = 0;
	for (; found; found = found->ai_next) {
		if (found->ai_family == AF_INET)
			a++;
		else if (found->ai_family == AF_INET6)
			aaaa++;
	}
	return (a & 0xffffu) | aaaa << 16;
}

/* Takes the next arrival. False: none is left. */
static bool take_ticket(struct run *run, uint64_t *intended_ns)
{
	uint64_t last = atomic_load(&run->last_intended_ns);
	uint64_t next;
	do {
		next = next_arrival(&run->job, last);
		if (next >= run->load_end_ns)
			return false;
	} while (!atomic_compare_exchange_weak(&run->last_intended_ns, &last, next));
	*intended_ns = next;
	return true;
}

static void note_lateness(struct run *run, uint64_t lateness_ns)
{
	uint64_t seen = atomic_load(&run->lateness_ns);
	while (lateness_ns > seen && !atomic_compare_exchange_weak(&run->lateness_ns, &seen, lateness_ns))
		;
}

/* Waits for the next lookup's time. False: the load is over. */
static bool next_lookup(struct run *run, struct record *record)
{
	record->flags = 0;
	if (atomic_load(&run->stopping))
		return false;
	if (run->job.loop == LOOP_CLOSED) {
		record->intended_ns = clock_ns() - run->origin_ns;
		if (record->intended_ns >= run->load_end_ns)
			return false;
	} else {
		if (!take_ticket(run, &record->intended_ns))
			return false;
		/* An idle worker takes its ticket early and sleeps. A ticket taken late means that no worker was idle. */
		if (clock_ns() - run->origin_ns > record->intended_ns)
			record->flags |= FLAG_WORKERS_EXHAUSTED;
		else
			sleep_until(run->origin_ns + record->intended_ns);
		if (atomic_load(&run->stopping))
			return false;
	}
	uint64_t number = atomic_fetch_add(&run->n_tickets, 1);
	if (run->job.max_lookups && number >= run->job.max_lookups)
		return false;
	record->name = (uint16_t)(number % run->job.n_entries);
	record->outcome = 0;
	if (record->intended_ns < run->warmup_end_ns)
		record->flags |= FLAG_WARMUP;
	return true;
}

/* An arrival that found no free worker until the load's end is recorded, but not looked up. Looking it up would let an
 * outage stretch the trial without end. Leaving it out would let the outage shrink the denominator. */
static bool put_not_started(const struct worker *worker, struct record *record)
{
	uint64_t now = clock_ns() - worker->run->origin_ns;
	if (!(record->flags & FLAG_WORKERS_EXHAUSTED) || now < worker->run->load_end_ns)
		return false;
	record->start_ns = record->end_ns = now;
	record->outcome = OUTCOME_NOT_STARTED;
	record->answers = 0;
	ring_put(worker->run, worker->ring, record);
	return true;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct run *run = worker->run;
	const bool fresh = run->job.mode == MODE_FRESH;
	struct resolver resolver;
	struct record record = {.worker = worker->number};
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

	resolver_open(&resolver, &run->job);
	sleep_until(run->origin_ns);
	while (next_lookup(run, &record)) {
		struct addrinfo *found = NULL;
		if (put_not_started(worker, &record))
			continue;
		if (fresh)
			resolver_refresh(&resolver);
		worker->intended_ns = record.intended_ns;
		worker->flags = record.flags;
		worker->name = record.name;
		uint64_t start = clock_ns();
		atomic_store(&worker->since_ns, start);
		int outcome = getaddrinfo(run->entries[record.name], NULL, &hints, &found);
		uint64_t end = clock_ns();
		if (!atomic_compare_exchange_strong(&worker->since_ns, &start, IDLE)) {
			if (!outcome)
				freeaddrinfo(found);
			break; /* the watchdog has recorded this lookup and replaced this worker */
		}
		record.start_ns = start - run->origin_ns;
		record.end_ns = end - run->origin_ns;
		record.outcome = (int16_t)outcome;
		record.flags |= resolver_flags(&resolver, fresh);
		record.answers = outcome ? 0 : count_addresses(found);
		if (run->job.loop != LOOP_CLOSED && !(record.flags & FLAG_WORKERS_EXHAUSTED))
			note_lateness(run, record.start_ns - record.intended_ns);
		ring_put(run, worker->ring, &record);
		if (!outcome)
			freeaddrinfo(found);
	}
	atomic_store(&worker->ended, true);
	return NULL;
}

static bool start_worker(struct run *run)
{
	uint32_t number = atomic_load(&n_workers);
	if (number >= n_workers_max)
		return false;
	struct worker *worker = &workers[number];
	worker->run = run;
	worker->number = number;
	worker->ring = &run->rings[number];
	if (!worker->ring->records && !ring_alloc(worker->ring, RING_RECORDS_MIN))
		return false;
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	atomic_store(&run->n_rings_used, number + 1);
	int error = pthread_create(&thread, &attributes, work, worker);
	pthread_attr_destroy(&attributes);
	if (error)
		return false;
	atomic_store(&n_workers, number + 1);
	return true;
}

const char *libc_prepare(struct run *run)
{
	const struct job *job = &run->job;
#ifndef __GLIBC__
	if (job->patch)
		return "musl keeps no resolver state that a job could patch";
#endif
	if ((job->patch & PATCH_NAMESERVER) && job->nameserver_family != 4 && job->nameserver_family != 6)
		return "the job patches a nameserver in and names none";
	n_workers_max = job->workers + job->max_replaced;
	workers = calloc(n_workers_max, sizeof(*workers));
	run->n_rings = n_workers_max + 1;
	run->rings = rings_alloc(run->n_rings);
	if (!workers || !run->rings)
		return "out of memory";
	uint32_t size = RING_RECORDS_MIN;
	while (size < RING_RECORDS_MAX && size * 2 <= RING_RECORDS_TOTAL / job->workers)
		size *= 2;
	for (uint32_t i = 0; i < job->workers; i++)
		if (!ring_alloc(&run->rings[i], size))
			return "out of memory";
	watchdog_ring = &run->rings[n_workers_max];
	if (!ring_alloc(watchdog_ring, 4096))
		return "out of memory";
	return NULL;
}

/* Takes over a lookup past its deadline: records it as abandoned and starts another worker. */
static void abandon(struct run *run, struct worker *worker, uint64_t since_ns, uint64_t now_ns)
{
	struct record record = {
	    .intended_ns = worker->intended_ns,
	    .start_ns = since_ns - run->origin_ns,
	    .end_ns = now_ns - run->origin_ns,
	    .worker = worker->number,
	    .outcome = OUTCOME_ABANDONED,
	    .name = worker->name,
	    .flags = worker->flags,
	};
	uint_fast64_t expected = since_ns;
	if (!atomic_compare_exchange_strong(&worker->since_ns, &expected, ABANDONED))
		return;
	ring_put(run, watchdog_ring, &record);
	atomic_fetch_add(&run->n_abandoned, 1);
	bool load_over = atomic_load(&run->stopping) || now_ns - run->origin_ns >= run->load_end_ns;
	if (!load_over && atomic_load(&run->n_replaced) < run->job.max_replaced && start_worker(run))
		atomic_fetch_add(&run->n_replaced, 1);
}

/* The calling thread becomes the watchdog. */
void libc_run(struct run *run)
{
	for (uint32_t i = 0; i < run->job.workers; i++)
		if (!start_worker(run)) {
			atomic_store(&run->end_status, END_WORKERS_LOST);
			break;
		}
	uint32_t n_quiet = 0;
	for (;;) {
		uint32_t n = atomic_load(&n_workers), n_alive = 0, n_lost = 0, n_in_flight = 0;
		uint64_t now = clock_ns();
		for (uint32_t i = 0; i < n; i++) {
			uint64_t since = atomic_load(&workers[i].since_ns);
			n_lost += since == ABANDONED;
			if (since == ABANDONED || atomic_load(&workers[i].ended))
				continue;
			n_alive++;
			if (since == IDLE)
				continue;
			n_in_flight++;
			if (now > since && now - since >= run->job.deadline_ns)
				abandon(run, &workers[i], since, now);
		}
		atomic_store(&run->n_in_flight, n_in_flight);
		bool over = atomic_load(&run->stopping) || now >= run->origin_ns + run->load_end_ns;
		/* After STOP, a worker that sleeps until its ticket's time does not look anything up, so nobody waits for
		 * it. It takes two rounds to be sure: a worker may have passed its check and not yet stored its start. */
		n_quiet = atomic_load(&run->stopping) && !n_in_flight ? n_quiet + 1 : 0;
		if (n_quiet >= 2)
			return;
		if (!n_alive) {
			if (n == atomic_load(&n_workers)) { /* no worker was started meanwhile */
				if (n_lost == n && !over)
					atomic_store(&run->end_status, END_WORKERS_LOST);
				return;
			}
			continue;
		}
		/* After the end only lookups in flight are waited for, so look more often. */
		sleep_until(now + (over ? WATCH_INTERVAL_NS / 10 : WATCH_INTERVAL_NS));
	}
}
