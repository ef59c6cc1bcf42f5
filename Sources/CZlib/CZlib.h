// zlib, with its function-like macros as functions, because Swift cannot import those.
#ifndef CZLIB_H
#define CZLIB_H

#include <zlib.h>

// Raw DEFLATE (RFC 1951): no header, no checksum. zlib selects it by a negative window.
// memLevel 8 is zlib's own default: a stream takes 128 KiB and four times its window.
static inline int czlib_deflate_init(z_stream *stream, int level, int window_bits) {
    return deflateInit2(stream, level, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY);
}

static inline int czlib_inflate_init(z_stream *stream, int window_bits) {
    return inflateInit2(stream, -window_bits);
}

// With header and checksum (RFC 1950).
static inline int czlib_inflate_init_zlib(z_stream *stream, int window_bits) {
    return inflateInit2(stream, window_bits);
}

#endif
