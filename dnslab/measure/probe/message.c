/*
 * DNS messages as bytes (RFC 1035, section 4): whether a query is one, what it asks, what an answer holds.
 *
 * Uses nothing of the other parts. Reads no byte past the size given.
 */
#include "probe.h"

/* Skips a name; 0 where it does not end within the message. */
static uint32_t skip_name(const uint8_t *message, uint32_t size, uint32_t at)
{
	while (at < size) {
		if ((message[at] & 0xc0) == 0xc0)
			return at + 2 <= size ? at + 2 : 0;
		if (!message[at])
			return at + 1;
		at += message[at] + 1u;
	}
	return 0;
}

bool is_query(const char *query, uint32_t size)
{
	uint32_t end = size <= QUERY_MAX ? skip_name((const uint8_t *)query, size, DNS_HEADER_BYTES) : 0;
	return end && end + 4 <= size; /* type and class follow the name */
}

uint16_t question_type(const char *query, uint32_t size)
{
	const uint8_t *bytes = (const uint8_t *)query;
	const uint8_t *type = bytes + skip_name(bytes, size, DNS_HEADER_BYTES); /* it ends: see is_query */
	return (uint16_t)(type[0] << 8 | type[1]);
}

uint32_t count_answers(const uint8_t *message, uint32_t size, uint32_t at)
{
	uint32_t n_records = (uint32_t)message[6] << 8 | message[7], a = 0, aaaa = 0;
	while (n_records--) {
		at = skip_name(message, size, at);
		if (!at || at + 10 > size)
			break;
		uint32_t type = (uint32_t)message[at] << 8 | message[at + 1];
		uint32_t length = (uint32_t)message[at + 8] << 8 | message[at + 9];
		at += 10 + length;
		if (at > size)
			break;
		a += type == DNS_TYPE_A && length == 4;
		aaaa += type == DNS_TYPE_AAAA && length == 16;
	}
	return (a & 0xffffu) | aaaa << 16;
}
