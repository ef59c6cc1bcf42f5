// What a program with its own sockets needs of hiredis: the reply reader.
//
// It compiles with hiredis 0.14 (Debian 12) and 1.x (Debian 13). What differs between them (the type of array counts,
// the reply functions' table) and hiredis' macros stay behind this header.
//
// A reply is given as a flat list of tokens in the order of the wire (an array's token, then its elements, depth first)
// over one block of bytes. Both belong to the reader and are used again for the next reply: a pub/sub message costs no
// allocation here. Not thread-safe: one reader, one thread at a time.
#ifndef CHIREDIS_H
#define CHIREDIS_H

#include <stddef.h>
#include <stdint.h>

// What a token is. The numbers are hiredis' own (REDIS_REPLY_*); shim.c asserts that.
enum {
    CHIREDIS_STRING = 1,
    CHIREDIS_ARRAY = 2,
    CHIREDIS_INTEGER = 3,
    CHIREDIS_NIL = 4,
    CHIREDIS_STATUS = 5,
    CHIREDIS_ERROR = 6
};

// Arrays inside one another, the outermost included: what hiredis 0.14 can read.
#define CHIREDIS_MAX_DEPTH 8

typedef struct chiredis_token {
    int64_t number; // an integer's value; an array's number of elements; otherwise the length in bytes
    size_t offset;  // where the bytes of a string, status or error start in the reply's bytes
    int32_t type;   // CHIREDIS_*
} chiredis_token;

typedef struct chiredis_reply {
    const chiredis_token *tokens;
    size_t token_count;
    const uint8_t *bytes;
    size_t byte_count;
} chiredis_reply;

typedef struct chiredis_reader chiredis_reader;

// A reader that refuses replies of more than max_bytes (of strings) in all. NULL when there is no memory.
chiredis_reader *chiredis_reader_create(size_t max_bytes);
void chiredis_reader_free(chiredis_reader *reader);

// Copies length bytes from the server into the reader. 0, or -1: see chiredis_reader_error.
int chiredis_reader_feed(chiredis_reader *reader, const void *bytes, size_t length);

// 1: *reply is the next whole reply, valid until the next call on this reader. 0: more bytes are needed.
// -1: what came is no RESP2; the reader is of no more use.
int chiredis_reader_next(chiredis_reader *reader, chiredis_reply *reply);

// What went wrong, in hiredis' words. Never NULL; empty when nothing did.
const char *chiredis_reader_error(const chiredis_reader *reader);

#endif
