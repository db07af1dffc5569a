/*
 * What every part of the probe uses: clocks, the schedule's arrivals, checksums, and the rings that carry records.
 *
 * Uses nothing of the other parts.
 */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t realtime_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void sleep_until(uint64_t monotonic_ns)
{
	struct timespec until = {.tv_sec = (time_t)(monotonic_ns / NS_PER_S),
				 .tv_nsec = (long)(monotonic_ns % NS_PER_S)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

uint64_t mix(uint64_t value)
{
	value += 0x9e3779b97f4a7c15u;
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	return value ^ value >> 31;
}

uint64_t next_arrival(const struct job *job, uint64_t last_ns)
{
	double mean_ns = 1e12 / (double)job->rate_per_1000s;
	if (job->loop == LOOP_FIXED)
		return last_ns + (uint64_t)mean_ns;
	/* In (0, 1]: the logarithm is finite. */
	double uniform = ((double)(mix(job->seed ^ mix(last_ns)) >> 11) + 1.0) * 0x1p-53;
	return last_ns + 1 + (uint64_t)(-log(uniform) * mean_ns);
}

static uint32_t crc_table[256];

void crc_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
		crc_table[i] = crc;
	}
}

uint32_t crc32_of(uint32_t crc, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	crc = ~crc;
	for (size_t i = 0; i < size; i++)
		crc = crc_table[(crc ^ bytes[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

struct ring *rings_alloc(uint32_t n)
{
	/* struct ring is aligned to cache lines; calloc does not align so widely. */
	struct ring *rings = aligned_alloc(_Alignof(struct ring), n * sizeof(*rings));
	if (rings)
		memset(rings, 0, n * sizeof(*rings));
	return rings;
}

bool ring_alloc(struct ring *ring, uint32_t size)
{
	ring->records = calloc(size, sizeof(*ring->records));
	ring->size = size;
	return ring->records != NULL;
}

void ring_put(struct run *of, struct ring *ring, const struct record *record)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) >= ring->size) {
		uint64_t from = clock_ns();
		while (head - atomic_load_explicit(&ring->tail, memory_order_acquire) >= ring->size)
			sleep_until(clock_ns() + NS_PER_MS);
		atomic_fetch_add(&of->blocked_ns, clock_ns() - from);
	}
	ring->records[head & (ring->size - 1)] = *record;
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}
