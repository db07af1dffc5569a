/* A bare getaddrinfo loop to compare the probe with: bare_libc NAME THREADS SECONDS; prints lookups and CPU seconds. */
#define _GNU_SOURCE
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

static const char *name;
static double until;
static atomic_long n_done;

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *work(void *argument)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	long n = 0;
	while (now() < until) {
		struct addrinfo *found = NULL;
		if (!getaddrinfo(name, NULL, &hints, &found))
			freeaddrinfo(found);
		n++;
	}
	atomic_fetch_add(&n_done, n);
	return argument;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	name = argv[1];
	until = now() + atof(argv[3]);
	int n = atoi(argv[2]);
	pthread_t *threads = calloc((size_t)n, sizeof(*threads));
	for (int i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	printf("%ld %f\n", atomic_load(&n_done), cpu);
	free(threads);
	return 0;
}
