/*
 * The probe's conversation over stdin and stdout: job in, header, clock replies, records, heartbeats and trailer out.
 *
 * One thread writes (the writer, which also drains the rings), one reads commands, one runs the engine. What a lookup
 * is, only the engines know; what the bytes mean, format.h.
 */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define DRAIN_INTERVAL_NS 50000000u
#define BLOCK_BYTES (64u * 1024u)
#define ACK_WAIT_S 5
/* The most that a job may ask for. Sums of times stay far from the end of 64 bits. The mean gap between arrivals stays
 * far over a nanosecond: a schedule that does not go forward would not end. */
#define TIME_MAX_NS (1ull << 60)
#define RATE_MAX_PER_1000S 1000000000u
#define WORKERS_MAX 20000u
#define ENTRIES_MAX UINT16_MAX /* a record names its entry in 16 bits */

static struct run run;
static uint32_t sequence;
static uint32_t records_crc;
static uint64_t n_records;
static struct { /* kept by the writer from the records it carries */
	uint64_t n_done, n_failed, n_over_limit, n_stalls;
} totals;

/* Clock requests that wait for the writer. The reader of commands waits while the queue is full. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* signalled also when GO or STOP comes */
	uint64_t echo[64];
	uint32_t n;
} pings = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static atomic_bool acknowledged;
static atomic_uint_fast64_t go_ns;

static void write_all(const void *data, size_t size)
{
	const char *bytes = data;
	while (size) {
		ssize_t written = write(STDOUT_FILENO, bytes, size);
		if (written < 0) {
			if (errno == EINTR)
				continue;
			_exit(STATUS_GONE);
		}
		bytes += written;
		size -= (size_t)written;
	}
}

static void send_frame(uint32_t kind, const void *payload, size_t size)
{
	struct frame frame = {
	    .kind = kind, .sequence = sequence++, .size = (uint32_t)size, .crc = crc32_of(0, payload, size)};
	write_all(&frame, sizeof(frame));
	write_all(payload, size);
}

static void refuse(const char *reason)
{
	send_frame(FRAME_FAILURE, reason, strlen(reason));
	exit(STATUS_REFUSED);
}

/* False at the end of the input. */
static bool read_all(void *data, size_t size)
{
	char *bytes = data;
	while (size) {
		ssize_t got = read(STDIN_FILENO, bytes, size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		bytes += got;
		size -= (size_t)got;
	}
	return true;
}

static void read_entries(const char *data, size_t size)
{
	const struct job *job = &run.job;
	run.entries = calloc(job->n_entries, sizeof(*run.entries));
	run.entry_sizes = calloc(job->n_entries, sizeof(*run.entry_sizes));
	if (!run.entries || !run.entry_sizes)
		refuse("out of memory");
	for (uint32_t i = 0; i < job->n_entries; i++) {
		uint16_t length;
		if (size < sizeof(length))
			refuse("the job ends within its entries");
		memcpy(&length, data, sizeof(length));
		data += sizeof(length);
		size -= sizeof(length);
		if (length == 0 || length > size)
			refuse("an entry of the job has a wrong length");
		char *copy = malloc(length + 1u);
		if (!copy)
			refuse("out of memory");
		memcpy(copy, data, length);
		copy[length] = '\0';
		run.entries[i] = copy;
		run.entry_sizes[i] = length;
		data += length;
		size -= length;
	}
	if (size)
		refuse("the job is longer than its entries");
}

static void read_job(void)
{
	struct job *job = &run.job;
	if (!read_all(job, sizeof(*job)))
		_exit(STATUS_GONE);
	if (job->magic != JOB_MAGIC)
		refuse("what came is not a job");
	if (job->version != FORMAT_VERSION)
		refuse("the job has another format version than this probe");
	if (job->size < sizeof(*job) || job->size > JOB_SIZE_MAX)
		refuse("the job's size cannot be");
	size_t rest = job->size - sizeof(*job);
	char *data = malloc(rest + 1);
	if (!data)
		refuse("out of memory");
	if (!read_all(data, rest))
		_exit(STATUS_GONE);
	const size_t covered = offsetof(struct job, crc) + sizeof(job->crc);
	uint32_t crc = crc32_of(0, (const char *)job + covered, sizeof(*job) - covered);
	if (crc32_of(crc, data, rest) != job->crc)
		refuse("the job fails its checksum");
	if (job->engine > ENGINE_WIRE || job->loop > LOOP_FIXED || job->mode > MODE_STICKY)
		refuse("the job asks for an engine, loop or mode that this probe does not have");
	if (!job->workers || job->workers > WORKERS_MAX || job->max_replaced > WORKERS_MAX)
		refuse("the job asks for no workers, or too many");
	if (!job->n_entries || job->n_entries > ENTRIES_MAX)
		refuse("the job names nothing to look up, or more than 65,535 names");
	if (job->loop != LOOP_CLOSED && !job->rate_per_1000s)
		refuse("an open loop needs a rate");
	if (job->loop != LOOP_CLOSED && job->rate_per_1000s > RATE_MAX_PER_1000S)
		refuse("an open loop has at most 1,000,000 arrivals a second");
	if (!job->deadline_ns || !job->hard_deadline_ns)
		refuse("the job has no deadline");
	if (job->warmup_ns > TIME_MAX_NS || job->duration_ns > TIME_MAX_NS || job->deadline_ns > TIME_MAX_NS ||
	    job->hard_deadline_ns > TIME_MAX_NS)
		refuse("a time of the job is over 36 years");
	read_entries(data, rest);
	free(data);
	run.warmup_end_ns = job->warmup_ns;
	run.load_end_ns = job->warmup_ns + job->duration_ns;
}

static void send_header(void)
{
	struct stream_header header = {.version = FORMAT_VERSION,
				       .record_size = sizeof(struct record),
				       .libc = libc_kind,
				       .engine = run.job.engine};
	char buffer[65536];
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t got;
	while (file >= 0 && (got = read(file, buffer, sizeof(buffer))) > 0) {
		header.executable_crc = crc32_of(header.executable_crc, buffer, (size_t)got);
		header.executable_size += (uint64_t)got;
	}
	if (file >= 0)
		close(file);
	struct utsname names;
	if (uname(&names) == 0)
		memcpy(header.machine, names.machine, strnlen(names.machine, sizeof(header.machine) - 1));
	const char *version = libc_version_text();
	memcpy(header.libc_version, version, strnlen(version, sizeof(header.libc_version) - 1));
	cpu_set_t cpus;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		header.n_cpus = (uint32_t)CPU_COUNT(&cpus);
	header.monotonic_ns = clock_ns();
	header.realtime_ns = realtime_ns();
	send_frame(FRAME_HEADER, &header, sizeof(header));
}

static void *read_commands(void *unused)
{
	struct command command;
	while (read_all(&command, sizeof(command))) {
		switch (command.kind) {
		case COMMAND_PING:
			for (bool queued = false; !queued;) {
				pthread_mutex_lock(&pings.lock);
				if (pings.n < sizeof(pings.echo) / sizeof(pings.echo[0])) {
					pings.echo[pings.n++] = command.value;
					queued = true;
				}
				pthread_mutex_unlock(&pings.lock);
				if (!queued)
					sleep_until(clock_ns() + NS_PER_MS);
			}
			break;
		case COMMAND_GO:
			atomic_store(&go_ns, command.value);
			break;
		case COMMAND_STOP:
			atomic_store(&run.stopping, true);
			break;
		case COMMAND_ACK:
			atomic_store(&acknowledged, true);
			break;
		default:
			_exit(STATUS_REFUSED);
		}
		pthread_mutex_lock(&pings.lock);
		pthread_cond_signal(&pings.changed);
		pthread_mutex_unlock(&pings.lock);
	}
	/* The controller has gone, so the probe ends now, whatever it is doing. */
	_exit(atomic_load(&acknowledged) ? STATUS_DONE : STATUS_GONE);
	return unused;
}

static void answer_pings(void)
{
	uint64_t echo[64];
	pthread_mutex_lock(&pings.lock);
	uint32_t n = pings.n;
	memcpy(echo, pings.echo, n * sizeof(echo[0]));
	pings.n = 0;
	pthread_mutex_unlock(&pings.lock);
	for (uint32_t i = 0; i < n; i++) {
		struct clock_reply reply = {.echo = echo[i], .monotonic_ns = clock_ns(), .realtime_ns = realtime_ns()};
		send_frame(FRAME_CLOCK, &reply, sizeof(reply));
	}
}

static void send_records(const char *block, size_t size)
{
	if (!size)
		return;
	records_crc = crc32_of(records_crc, block, size);
	n_records += size / sizeof(struct record);
	send_frame(FRAME_RECORDS, block, size);
}

static void count(const struct record *record)
{
	uint64_t service = record->end_ns - record->start_ns;
	totals.n_done++;
	totals.n_failed += record->outcome != 0;
	totals.n_over_limit += service >= run.job.limit_ns;
	totals.n_stalls += service >= run.job.stall_ns;
}

/* Sends all records that wait. A block is sent when it is full, the last one at the end. */
static void drain(void)
{
	static char block[BLOCK_BYTES / sizeof(struct record) * sizeof(struct record)];
	size_t used = 0;
	uint32_t used_rings = atomic_load(&run.n_rings_used);
	for (uint32_t i = 0; i < run.n_rings; i++) {
		struct ring *ring = &run.rings[i];
		if (i >= used_rings && i != run.n_rings - 1)
			continue;
		uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
		uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
		while (tail != head) {
			const struct record *record = &ring->records[tail & (ring->size - 1)];
			memcpy(block + used, record, sizeof(*record));
			count(record);
			used += sizeof(*record);
			atomic_store_explicit(&ring->tail, ++tail, memory_order_release);
			if (used == sizeof(block)) {
				send_records(block, used);
				used = 0;
			}
		}
	}
	send_records(block, used);
}

static void send_heartbeat(void)
{
	struct heartbeat beat = {
	    .elapsed_ns = clock_ns() - run.origin_ns,
	    .n_done = totals.n_done,
	    .n_failed = totals.n_failed,
	    .n_over_limit = totals.n_over_limit,
	    .n_stalls = totals.n_stalls,
	    .n_in_flight = atomic_load(&run.n_in_flight),
	    .lateness_ns = atomic_exchange(&run.lateness_ns, 0),
	    .blocked_ns = atomic_load(&run.blocked_ns),
	};
	send_frame(FRAME_HEARTBEAT, &beat, sizeof(beat));
}

static uint64_t timeval_ns(struct timeval value)
{
	return (uint64_t)value.tv_sec * NS_PER_S + (uint64_t)value.tv_usec * 1000u;
}

/* ru_maxrss would not do: it survives exec, so it also counts the process that forked this one (getrusage(2)). */
static uint64_t peak_rss_bytes(void)
{
	char line[128];
	unsigned long long kib = 0;
	FILE *status = fopen("/proc/self/status", "re");
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %llu", &kib) == 1)
			break;
	if (status)
		fclose(status);
	return kib * 1024u;
}

static void send_trailer(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	uint32_t status = atomic_load(&run.end_status);
	if (status == END_COMPLETE && atomic_load(&run.stopping))
		status = END_STOPPED;
	struct trailer trailer = {
	    .n_records = n_records,
	    .records_crc = records_crc,
	    .status = status,
	    .elapsed_ns = run.origin_ns ? clock_ns() - run.origin_ns : 0,
	    .monotonic_ns = clock_ns(),
	    .realtime_ns = realtime_ns(),
	    .user_ns = timeval_ns(usage.ru_utime),
	    .system_ns = timeval_ns(usage.ru_stime),
	    .n_abandoned = atomic_load(&run.n_abandoned),
	    .n_replaced = atomic_load(&run.n_replaced),
	    .blocked_ns = atomic_load(&run.blocked_ns),
	    .max_rss_bytes = peak_rss_bytes(),
	};
	send_frame(FRAME_TRAILER, &trailer, sizeof(trailer));
}

static void *run_engine(void *unused)
{
	(run.job.engine == ENGINE_WIRE ? wire_run : libc_run)(&run);
	atomic_store(&run.engine_done, true);
	return unused;
}

static void hard_deadline(int signal_number)
{
	(void)signal_number;
	_exit(STATUS_GONE);
}

static void start_thread(void *(*body)(void *))
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, body, NULL))
		refuse("no thread can be started");
	pthread_detach(thread);
}

int converse(void)
{
	signal(SIGPIPE, SIG_IGN); /* write_all sees EPIPE */
	signal(SIGALRM, hard_deadline);
	prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul,
	      0ul); /* threads inherit it (prctl(2)); the default of 50 us would make lookups late */
	read_job();
	alarm((unsigned)(run.job.hard_deadline_ns / NS_PER_S) + 1u);
	const char *reason = (run.job.engine == ENGINE_WIRE ? wire_prepare : libc_prepare)(&run);
	if (reason)
		refuse(reason);
	send_header();
	start_thread(read_commands);
	while (!atomic_load(&go_ns) && !atomic_load(&run.stopping)) {
		/* Sleep until woken: a hundred probes that poll would keep a machine busy. */
		pthread_mutex_lock(&pings.lock);
		while (!pings.n && !atomic_load(&go_ns) && !atomic_load(&run.stopping))
			pthread_cond_wait(&pings.changed, &pings.lock);
		pthread_mutex_unlock(&pings.lock);
		answer_pings();
	}
	run.origin_ns = atomic_load(&go_ns);
	if (!run.origin_ns)
		run.origin_ns = clock_ns();
	start_thread(run_engine);
	/* Probes share the start instant. A hundred heartbeats at the same moment would delay the lookups of that moment, so
	 * each probe's first heartbeat has an offset of its own. */
	const uint64_t heartbeat_ns = (run.job.heartbeat_ms ? run.job.heartbeat_ms : 500u) * 1000000ull;
	uint64_t next_heartbeat = run.origin_ns + heartbeat_ns + mix(run.job.seed) % heartbeat_ns;
	for (bool done = false; !done;) {
		done =
		    atomic_load(&run.engine_done); /* read before the drain, so that the last drain misses no record */
		drain();
		answer_pings();
		if (clock_ns() >= next_heartbeat) {
			send_heartbeat();
			next_heartbeat += heartbeat_ns;
		}
		if (!done)
			sleep_until(clock_ns() + DRAIN_INTERVAL_NS);
	}
	send_heartbeat();
	send_trailer();
	for (int i = 0; i < ACK_WAIT_S * 1000 && !atomic_load(&acknowledged); i++)
		sleep_until(clock_ns() + NS_PER_MS);
	return STATUS_DONE;
}
