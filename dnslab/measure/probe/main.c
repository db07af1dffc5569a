/*
 * The probe as a program: a conversation over stdin and stdout, or one of the small things that a pod needs (--help).
 */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char help[] =
    "probe: looks names up as a job on its stdin says, and writes each lookup to its stdout.\n"
    "\n"
    "Not meant to be typed: dnslab starts it, sends the job and reads the stream (format.h has every byte).\n"
    "\n"
    "  probe              take a job from stdin\n"
    "  probe --self-test  check this build on this machine, over loopback alone\n"
    "  probe --show FILE  write each FILE as `FILE LENGTH`, a newline, and its bytes; where it cannot be read, LENGTH\n"
    "                     is minus the number of the error\n"
    "  probe --delete-link NAME  delete a network interface, where an image has no ip\n"
    "  probe --wait       do nothing until ended: what a pod without a shell is kept by\n"
    "  probe --version    format version and C library\n"
    "  probe --help       this text\n"
    "\n"
    "Exit status: 0 done, 1 the controller went away or the hard deadline passed, 2 a job refused or a wrong call.\n";

/* A server that answers every query with one address of the type asked. Ends with the process. */
static void *answer_queries(void *argument)
{
	int file = *(const int *)argument;
	uint8_t message[512];
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t got;
	while ((got = recvfrom(file, message, sizeof(message) - 32, 0, (struct sockaddr *)&from, &size)) > 16) {
		size_t end = (size_t)got, type = message[end - 3], length = type == DNS_TYPE_AAAA ? 16 : 4;
		const uint8_t record[12] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 0, 0, (uint8_t)length};
		message[2] |= DNS_RESPONSE;
		message[7] = 1;
		memcpy(message + end, record, sizeof(record));
		memset(message + end + sizeof(record), 1, length);
		sendto(file, message, end + sizeof(record) + length, 0, (struct sockaddr *)&from, size);
	}
	return NULL;
}

static bool report_check(const char *what, bool holds)
{
	printf("%s  %s\n", holds ? "ok    " : "FAILED", what);
	return holds;
}

/* Runs one engine for 50 lookups against the server at the port; false where one was not answered. */
static bool engine_works(uint16_t engine, uint16_t port)
{
	static struct run run;
	static const char query[] = "\0\0\1\0\0\1\0\0\0\0\0\0\4self\4test\0\0\1\0\1";
	static const char *entries[1];
	static uint16_t sizes[1];
	memset(&run, 0, sizeof(run));
	entries[0] = engine == ENGINE_WIRE ? query : "self.test.";
	sizes[0] = engine == ENGINE_WIRE ? sizeof(query) - 1 : sizeof("self.test.") - 1;
	run.entries = entries;
	run.entry_sizes = sizes;
	run.job = (struct job){
	    .engine = engine, .workers = 2, .n_entries = 1, .outstanding = 2, .duration_ns = 2u * NS_PER_S};
	run.job.deadline_ns = NS_PER_S;
	run.job.max_lookups = 50;
	run.job.patch = engine == ENGINE_LIBC ? PATCH_OPTIONS | PATCH_NAMESERVER : 0;
	run.job.nameserver_family = 4;
	run.job.nameserver_port = port;
	memcpy(run.job.nameserver, "\177\0\0\1", 4);
	run.load_end_ns = run.job.duration_ns;
	run.origin_ns = clock_ns();
	if ((engine == ENGINE_WIRE ? wire_prepare : libc_prepare)(&run))
		return false;
	(engine == ENGINE_WIRE ? wire_run : libc_run)(&run);
	uint32_t n = 0, n_good = 0;
	for (uint32_t i = 0; i < run.n_rings; i++)
		for (uint64_t at = 0; at < atomic_load(&run.rings[i].head); at++) {
			const struct record *record = &run.rings[i].records[at];
			n++;
			n_good += record->outcome == 0 && record->answers && record->end_ns >= record->start_ns;
		}
	return n == 50 && n_good == 50;
}

static int self_test(void)
{
	static int file;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	bool good = report_check("CRC-32 of \"123456789\" is cbf43926", crc32_of(0, "123456789", 9) == 0xcbf43926u);
	good &= report_check("the clock goes forward", clock_ns() <= clock_ns());
	file = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (file < 0 || bind(file, (struct sockaddr *)&address, size) ||
	    getsockname(file, (struct sockaddr *)&address, &size))
		return !report_check("a server on loopback", false);
	pthread_t thread;
	if (pthread_create(&thread, NULL, answer_queries, &file))
		return !report_check("a thread", false);
	pthread_detach(thread);
	good &= report_check("engine wire: 50 queries answered", engine_works(ENGINE_WIRE, ntohs(address.sin_port)));
	if (libc_kind == LIBC_GLIBC)
		good &= report_check("engine libc: 50 lookups answered",
				     engine_works(ENGINE_LIBC, ntohs(address.sin_port)));
	return good ? STATUS_DONE : STATUS_GONE;
}

/* For images without a shell or cat. stat(2) gives size 0 for files of /proc, so the file is read before its length is
 * printed. */
static int show(char **paths)
{
	static char text[1 << 20];
	for (; *paths; paths++) {
		ssize_t length = 0, got = -1;
		int file = open(*paths, O_RDONLY | O_CLOEXEC);
		while (file >= 0 && (got = read(file, text + length, sizeof(text) - (size_t)length)) > 0)
			length += got;
		length = got < 0 ? -errno : length;
		if (file >= 0)
			close(file);
		printf("%s %zd\n", *paths, length);
		if (length > 0)
			fwrite(text, 1, (size_t)length, stdout);
	}
	return fflush(stdout) ? STATUS_GONE : STATUS_DONE;
}

/* The kernel does not deliver signals without a handler to process 1 of a container (pid_namespaces(7)). */
static void end_now(int number)
{
	_exit(number == SIGTERM ? STATUS_DONE : STATUS_GONE);
}

static _Noreturn void wait_for_the_end(void)
{
	signal(SIGTERM, end_now);
	signal(SIGINT, end_now);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	crc_init();
	if (argc == 1) {
		if (!isatty(STDIN_FILENO))
			return converse();
		fputs("probe: a job is expected on stdin, a terminal is there; see probe --help\n", stderr);
		return STATUS_REFUSED;
	}
	if (argc == 2 && !strcmp(argv[1], "--help"))
		return fputs(help, stdout) < 0;
	if (argc == 2 && !strcmp(argv[1], "--self-test"))
		return self_test();
	if (argc == 2 && !strcmp(argv[1], "--version"))
		return printf("dnslab probe, format version %d, %s %s\n", FORMAT_VERSION,
			      libc_kind == LIBC_GLIBC ? "glibc" : "musl", libc_version_text()) < 0;
	if (argc >= 3 && !strcmp(argv[1], "--show"))
		return show(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "--delete-link"))
		return delete_link(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "--wait"))
		wait_for_the_end();
	fprintf(stderr, "probe: unknown argument %s; see probe --help\n", argv[1]);
	return STATUS_REFUSED;
}
