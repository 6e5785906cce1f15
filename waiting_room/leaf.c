/* The native leaf: a few functions on bytes for the compiled form. `waiting_room/leaf.py` says what each one is for.

   Rules. Bytes in, values out: it knows no rule of the line. It reads what anybody can send, so every read is bounded
   by a length that came with the bytes, and nothing is searched for a terminating zero. What it does not know it
   leaves to the Python form, by returning None. Signatures are compared in constant time, and nothing is looked up in
   a table by a secret. No call keeps a borrowed pointer. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* SHA-256 (FIPS 180-4). */

static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static const uint32_t START[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static inline uint32_t load32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline void store32(uint8_t *p, uint32_t x) {
    p[0] = (uint8_t)(x >> 24), p[1] = (uint8_t)(x >> 16), p[2] = (uint8_t)(x >> 8), p[3] = (uint8_t)x;
}

static inline uint32_t right(uint32_t x, int by) { return x >> by | x << (32 - by); }

#define STEP(a, b, c, d, e, f, g, h, i)                                                                     \
    do {                                                                                                    \
        uint32_t one = h + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + (g ^ (e & (f ^ g))) + ROUND[i] + w[i]; \
        d += one;                                                                                           \
        h = one + (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + ((a & b) | (c & (a | b)));                  \
    } while (0)

static void blocks_portable(uint32_t state[8], const uint8_t *data, size_t count) {
    for (; count; count--, data += 64) {
        uint32_t w[64];
        for (int i = 0; i < 16; i++) w[i] = load32(data + 4 * i);
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + w[i - 7] + (right(w[i - 15], 7) ^ right(w[i - 15], 18) ^ w[i - 15] >> 3) +
                   (right(w[i - 2], 17) ^ right(w[i - 2], 19) ^ w[i - 2] >> 10);
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 64; i += 8) {
            STEP(a, b, c, d, e, f, g, h, i);
            STEP(h, a, b, c, d, e, f, g, i + 1);
            STEP(g, h, a, b, c, d, e, f, i + 2);
            STEP(f, g, h, a, b, c, d, e, i + 3);
            STEP(e, f, g, h, a, b, c, d, i + 4);
            STEP(d, e, f, g, h, a, b, c, i + 5);
            STEP(c, d, e, f, g, h, a, b, i + 6);
            STEP(b, c, d, e, f, g, h, a, i + 7);
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAS_SHA_NI 1
#include <cpuid.h>
#include <immintrin.h>

/* The same with the processor's SHA extensions. The instructions hold the state as ABEF and CDGH. */
__attribute__((target("sha,sse4.1,ssse3"))) static void blocks_sha_ni(uint32_t state[8], const uint8_t *data,
                                                                      size_t count) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(low, high, 8);
    __m128i cdgh = _mm_blend_epi16(high, low, 0xF0);
    for (; count; count--, data += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (i >= 4) { /* w[i % 4] holds the words of 16 steps before */
                __m128i sum = _mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]);
                sum = _mm_add_epi32(sum, _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4));
                w[i % 4] = _mm_sha256msg2_epu32(sum, w[(i + 3) % 4]);
            }
            __m128i words = _mm_add_epi32(w[i % 4], _mm_loadu_si128((const __m128i *)(ROUND + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    low = _mm_shuffle_epi32(abef, 0x1B);
    high = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

static int has_sha_ni(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 19) || !(c & 1u << 9)) return 0; /* SSE4.1, SSSE3 */
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
}
#else
#define HAS_SHA_NI 0
#endif

static void (*blocks)(uint32_t state[8], const uint8_t *data, size_t count) = blocks_portable;

/* HMAC (RFC 2104). A key is kept as two states: after the block of the inner key, and after that of the outer key. */

typedef struct {
    uint32_t inner[8], outer[8];
} Mac;

/* Finish a hash. Its first 64 bytes are in `state` already. */
static void finish(uint32_t state[8], const uint8_t *data, size_t size, uint8_t out[32]) {
    uint8_t tail[128] = {0};
    size_t whole = size / 64, rest = size % 64, end = rest < 56 ? 64 : 128;
    if (whole) blocks(state, data, whole);
    if (rest) memcpy(tail, data + 64 * whole, rest);
    tail[rest] = 0x80;
    uint64_t bits = ((uint64_t)size + 64) * 8;
    store32(tail + end - 8, (uint32_t)(bits >> 32));
    store32(tail + end - 4, (uint32_t)bits);
    blocks(state, tail, end / 64);
    for (int i = 0; i < 8; i++) store32(out + 4 * i, state[i]);
}

static void digest(const uint8_t *kept, const uint8_t *payload, size_t size, uint8_t out[32]) {
    Mac mac;
    memcpy(&mac, kept, sizeof mac);
    finish(mac.inner, payload, size, out);
    finish(mac.outer, out, 32, out);
}

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
enum { SIGNATURE = 43, ID_BYTES = 16, ID_LETTERS = 22, LONGEST_VALUE = 256 };

/* The value of each letter of base64url, and 64 for everything else. */
static uint8_t VALUES[256];

/* Write base64url without padding, and return its end. What is encoded is sent to the visitor, so it is no secret. */
static char *encode(char *to, const uint8_t *from, size_t size) {
    size_t i = 0;
    for (; i + 2 < size; i += 3) {
        uint32_t three = (uint32_t)from[i] << 16 | (uint32_t)from[i + 1] << 8 | from[i + 2];
        *to++ = LETTERS[three >> 18], *to++ = LETTERS[three >> 12 & 63];
        *to++ = LETTERS[three >> 6 & 63], *to++ = LETTERS[three & 63];
    }
    if (i + 1 == size) {
        *to++ = LETTERS[from[i] >> 2], *to++ = LETTERS[(from[i] & 3) << 4];
    } else if (i + 2 == size) {
        *to++ = LETTERS[from[i] >> 2], *to++ = LETTERS[(from[i] & 3) << 4 | from[i + 1] >> 4];
        *to++ = LETTERS[(from[i + 1] & 15) << 2];
    }
    return to;
}

static void write_signature(const uint8_t *kept, const char *payload, size_t size, char out[SIGNATURE]) {
    uint8_t found[32];
    digest(kept, (const uint8_t *)payload, size, found);
    encode(out, found, 32);
}

/* Read the letters of a signature. Return 0 if they are not exactly what `encode` writes. */
static int decode_signature(const char *text, uint8_t out[33]) {
    uint32_t bits = 0, odd = 0;
    for (int i = 0; i < SIGNATURE + 1; i++) {
        uint32_t value = i < SIGNATURE ? VALUES[(uint8_t)text[i]] : 0;
        odd |= value & 64;
        bits = bits << 6 | (value & 63);
        if (i % 4 == 3) {
            uint8_t *to = out + i / 4 * 3;
            to[0] = (uint8_t)(bits >> 16), to[1] = (uint8_t)(bits >> 8), to[2] = (uint8_t)bits;
        }
    }
    return !odd && out[32] == 0; /* the last letter holds four bits of the digest and two that are 0 */
}

/* Return whether one of the keys has made this signature. What the visitor sent is decoded; what is secret, the digest
   that it should be, is compared in a time that does not depend on it. */
static int is_signed(const uint8_t *kept, size_t keys, const char *payload, size_t size, const char *signature) {
    uint8_t given[33], expected[32];
    int found = 0;
    if (!decode_signature(signature, given)) return 0;
    for (size_t k = 0; k < keys; k++) {
        digest(kept + k * sizeof(Mac), (const uint8_t *)payload, size, expected);
        uint8_t differs = 0;
        for (int i = 0; i < 32; i++) differs |= (uint8_t)(expected[i] ^ given[i]);
        found |= differs == 0;
    }
    return found;
}

/* Arguments. */

static int check_count(const char *name, Py_ssize_t given, Py_ssize_t wanted) {
    if (given == wanted) return 1;
    PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, got %zd", name, wanted, given);
    return 0;
}

/* Return how many keys these states are of; 0 with an exception if they are none. */
static size_t count_keys(PyObject *states) {
    if (PyBytes_Check(states) && PyBytes_GET_SIZE(states) && PyBytes_GET_SIZE(states) % (Py_ssize_t)sizeof(Mac) == 0)
        return (size_t)PyBytes_GET_SIZE(states) / sizeof(Mac);
    PyErr_SetString(PyExc_TypeError, "states must be bytes as `mac_state` returns them, one after the other");
    return 0;
}

static int is_bytes(PyObject *value, const char *name) {
    if (PyBytes_Check(value)) return 1;
    PyErr_Format(PyExc_TypeError, "%s must be bytes, not %.80s", name, Py_TYPE(value)->tp_name);
    return 0;
}

/* Find the characters of a text. Return 0 if it is not ASCII, -1 with an exception if it is no text. */
static int ascii_of(PyObject *value, const char *name, const char **text, Py_ssize_t *size) {
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be str, not %.80s", name, Py_TYPE(value)->tp_name);
        return -1;
    }
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(value) < 0) return -1;
#endif
    if (!PyUnicode_IS_ASCII(value)) return 0;
    *text = (const char *)PyUnicode_1BYTE_DATA(value);
    *size = PyUnicode_GET_LENGTH(value);
    return 1;
}

static PyObject *new_ascii(Py_ssize_t size, char **text) {
    PyObject *made = PyUnicode_New(size, 127);
    if (made) *text = (char *)PyUnicode_1BYTE_DATA(made);
    return made;
}

/* Signatures. */

static PyObject *mac_state(PyObject *Py_UNUSED(module), PyObject *key) {
    if (!is_bytes(key, "key")) return NULL;
    if (PyBytes_GET_SIZE(key) > 64) {
        PyErr_SetString(PyExc_ValueError, "a key has at most 64 bytes");
        return NULL;
    }
    Mac mac;
    uint8_t block[64] = {0};
    memcpy(block, PyBytes_AS_STRING(key), (size_t)PyBytes_GET_SIZE(key));
    for (int i = 0; i < 64; i++) block[i] ^= 0x36;
    memcpy(mac.inner, START, sizeof START);
    blocks(mac.inner, block, 1);
    for (int i = 0; i < 64; i++) block[i] ^= 0x36 ^ 0x5C;
    memcpy(mac.outer, START, sizeof START);
    blocks(mac.outer, block, 1);
    return PyBytes_FromStringAndSize((const char *)&mac, sizeof mac);
}

static PyObject *mac_digest(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (!check_count("digest", count, 2) || !count_keys(args[0]) || !is_bytes(args[1], "payload")) return NULL;
    uint8_t found[32];
    digest((const uint8_t *)PyBytes_AS_STRING(args[0]), (const uint8_t *)PyBytes_AS_STRING(args[1]),
           (size_t)PyBytes_GET_SIZE(args[1]), found);
    return PyBytes_FromStringAndSize((const char *)found, 32);
}

static PyObject *sign(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (!check_count("sign", count, 2) || !count_keys(args[0]) || !is_bytes(args[1], "payload")) return NULL;
    Py_ssize_t size = PyBytes_GET_SIZE(args[1]);
    if (size > PY_SSIZE_T_MAX - 1024) return PyErr_NoMemory();
    PyObject *made = PyBytes_FromStringAndSize(NULL, size + 1 + SIGNATURE);
    if (!made) return NULL;
    char *to = PyBytes_AS_STRING(made);
    memcpy(to, PyBytes_AS_STRING(args[1]), (size_t)size);
    to[size] = '.';
    write_signature((const uint8_t *)PyBytes_AS_STRING(args[0]), to, (size_t)size, to + size + 1);
    return made;
}

static PyObject *unsign(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (!check_count("unsign", count, 2) || !is_bytes(args[1], "signed")) return NULL;
    size_t keys = count_keys(args[0]);
    if (!keys) return NULL;
    const char *text = PyBytes_AS_STRING(args[1]);
    Py_ssize_t payload = PyBytes_GET_SIZE(args[1]) - SIGNATURE - 1;
    /* What stands behind the last dot is the signature. */
    if (payload < 0 || text[payload] != '.' || memchr(text + payload + 1, '.', SIGNATURE)) Py_RETURN_NONE;
    if (!is_signed((const uint8_t *)PyBytes_AS_STRING(args[0]), keys, text, (size_t)payload, text + payload + 1))
        Py_RETURN_NONE;
    return PyBytes_FromStringAndSize(text, payload);
}

/* Tickets. */

/* Read 1 to `most` digits, at most 15. Return what follows them, or NULL. */
static const char *number(const char *at, const char *end, int most, int64_t *found) {
    int64_t value = 0;
    const char *begin = at;
    while (at < end && *at >= '0' && *at <= '9') {
        if (at - begin == most) return NULL;
        value = 10 * value + (*at++ - '0');
    }
    *found = value;
    return at > begin ? at : NULL;
}

static int starts(const char *at, const char *end, const char *with, size_t size) {
    return (size_t)(end - at) >= size && memcmp(at, with, size) == 0;
}

/* Return where `what` stands in a text for the first time, or NULL. */
static const char *find(const char *at, const char *end, const char *what, size_t size) {
    while ((size_t)(end - at) >= size) {
        at = memchr(at, what[0], (size_t)(end - at) - size + 1);
        if (!at) return NULL;
        if (memcmp(at, what, size) == 0) return at;
        at++;
    }
    return NULL;
}

/* find_ticket(states, cookie, name, room) -> (id, first_seen, seen, return_after_s, told) or None */
static PyObject *find_ticket(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    const char *cookie, *name, *room;
    Py_ssize_t cookie_size, name_size, room_size;
    if (!check_count("find_ticket", count, 4)) return NULL;
    size_t keys = count_keys(args[0]);
    if (!keys) return NULL;
    int are_ascii = ascii_of(args[1], "cookie", &cookie, &cookie_size);
    if (are_ascii > 0) are_ascii = ascii_of(args[2], "name", &name, &name_size);
    if (are_ascii > 0) are_ascii = ascii_of(args[3], "room", &room, &room_size);
    if (are_ascii < 0) return NULL;
    if (!are_ascii || !name_size || !room_size) Py_RETURN_NONE;
    const char *end = cookie + cookie_size, *at = find(cookie, end, name, (size_t)name_size);
    if (!at) Py_RETURN_NONE;
    const char *value = at + name_size;
    /* Of several cookies with this name the Python form finds the best. */
    if (find(value, end, name, (size_t)name_size)) Py_RETURN_NONE;
    if (at - cookie >= 7 && memcmp(at - 7, "__Host-", 7) == 0) at -= 7;
    if (at > cookie && !(at - cookie >= 2 && at[-1] == ' ' && at[-2] == ';')) Py_RETURN_NONE;
    if (value == end || *value++ != '=') Py_RETURN_NONE;
    const char *stop = memchr(value, ';', (size_t)(end - value));
    if (stop) end = stop;
    if (end - value > LONGEST_VALUE || end - value < SIGNATURE + 1) Py_RETURN_NONE;
    /* t1.<room>.<id>[~p<told>][~a<after>].<first_seen>.<seen>.<signature> */
    const char *signature = end - SIGNATURE, *payload_end = signature - 1;
    if (*payload_end != '.' || !starts(value, payload_end, "t1.", 3)) Py_RETURN_NONE;
    at = value + 3;
    if (!starts(at, payload_end, room, (size_t)room_size)) Py_RETURN_NONE;
    at += room_size;
    if (payload_end - at < 1 + ID_LETTERS || *at++ != '.') Py_RETURN_NONE;
    const char *id = at;
    for (int i = 0; i < ID_LETTERS; i++)
        if (VALUES[(uint8_t)*at++] == 64) Py_RETURN_NONE;
    int64_t told = 0, after = 0, first_seen = 0, seen = 0;
    if (starts(at, payload_end, "~p", 2) && !(at = number(at + 2, payload_end, 9, &told))) Py_RETURN_NONE;
    if (starts(at, payload_end, "~a", 2) && !(at = number(at + 2, payload_end, 9, &after))) Py_RETURN_NONE;
    if (at == payload_end || *at++ != '.' || !(at = number(at, payload_end, 15, &first_seen))) Py_RETURN_NONE;
    if (at == payload_end || *at++ != '.' || !(at = number(at, payload_end, 12, &seen))) Py_RETURN_NONE;
    if (at != payload_end) Py_RETURN_NONE;
    const uint8_t *kept = (const uint8_t *)PyBytes_AS_STRING(args[0]);
    if (!is_signed(kept, keys, value, (size_t)(payload_end - value), signature)) Py_RETURN_NONE;
    char *ident;
    PyObject *made = PyTuple_New(5);
    if (!made) return NULL;
    PyObject *parts[5] = {new_ascii(ID_LETTERS, &ident), PyFloat_FromDouble((double)first_seen / 1000.0),
                          PyFloat_FromDouble((double)seen), PyLong_FromLongLong(after), PyLong_FromLongLong(told)};
    int is_whole = 1;
    for (int i = 0; i < 5; i++) {
        is_whole &= parts[i] != NULL;
        PyTuple_SET_ITEM(made, i, parts[i]);
    }
    if (!is_whole) {
        Py_DECREF(made);
        return NULL;
    }
    memcpy(ident, id, ID_LETTERS);
    return made;
}

/* Read a number that fits 15 digits. Return 0 if it does not, -1 with an exception if it is no number. */
static int small_number(PyObject *value, int64_t *found) {
    int overflow;
    *found = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (*found == -1 && PyErr_Occurred()) return -1;
    return !overflow && *found >= 0 && *found < 1000000000000000LL;
}

static char *write_number(char *to, int64_t number) {
    char digits[20];
    int size = 0;
    do digits[size++] = (char)('0' + number % 10);
    while (number /= 10);
    while (size) *to++ = digits[--size];
    return to;
}

#define WRITE(to, literal) write_text(to, literal, sizeof literal - 1)

static char *two_digits(char *to, int number) {
    to[0] = (char)('0' + number / 10), to[1] = (char)('0' + number % 10);
    return to + 2;
}

static char *write_text(char *to, const char *text, Py_ssize_t size) {
    memcpy(to, text, (size_t)size);
    return to + size;
}

/* ticket_cookie(states, before, room, id, told, after, first_seen_ms, seen, behind) -> str or None */
static PyObject *ticket_cookie(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (!check_count("ticket_cookie", count, 9) || !count_keys(args[0])) return NULL;
    static const int TEXTS[4] = {1, 2, 3, 8};
    const char *texts[4];
    Py_ssize_t sizes[4];
    int64_t numbers[4];
    for (int i = 0; i < 4; i++) {
        int is_fit = ascii_of(args[TEXTS[i]], "a text", &texts[i], &sizes[i]);
        if (is_fit > 0) is_fit = small_number(args[4 + i], &numbers[i]);
        if (is_fit < 0) return NULL;
        if (!is_fit || sizes[i] > 1024) Py_RETURN_NONE;
    }
    char payload[2 * 1024 + 128], signature[SIGNATURE], *to = payload;
    to = WRITE(to, "t1.");
    to = write_text(to, texts[1], sizes[1]);
    *to++ = '.';
    to = write_text(to, texts[2], sizes[2]);
    if (numbers[0]) to = write_number(WRITE(to, "~p"), numbers[0]);
    if (numbers[1]) to = write_number(WRITE(to, "~a"), numbers[1]);
    *to++ = '.';
    to = write_number(to, numbers[2]);
    *to++ = '.';
    to = write_number(to, numbers[3]);
    Py_ssize_t size = to - payload;
    write_signature((const uint8_t *)PyBytes_AS_STRING(args[0]), payload, (size_t)size, signature);
    PyObject *made = new_ascii(sizes[0] + size + 1 + SIGNATURE + sizes[3], &to);
    if (!made) return NULL;
    to = write_text(to, texts[0], sizes[0]);
    to = write_text(to, payload, size);
    *to++ = '.';
    to = write_text(to, signature, SIGNATURE);
    write_text(to, texts[3], sizes[3]);
    return made;
}

/* ident(16 bytes) -> the 22 letters of a ticket's id */
static PyObject *ident(PyObject *Py_UNUSED(module), PyObject *from) {
    if (!is_bytes(from, "entropy")) return NULL;
    if (PyBytes_GET_SIZE(from) != ID_BYTES) {
        PyErr_Format(PyExc_ValueError, "an id needs %d bytes, got %zd", ID_BYTES, PyBytes_GET_SIZE(from));
        return NULL;
    }
    char *to;
    PyObject *made = new_ascii(ID_LETTERS, &to);
    if (made) encode(to, (const uint8_t *)PyBytes_AS_STRING(from), ID_BYTES);
    return made;
}

/* slot(id) -> its first 20 bits, or -1 if it is not an id of 22 letters */
static PyObject *slot(PyObject *Py_UNUSED(module), PyObject *id) {
    const char *text;
    Py_ssize_t size;
    int is_ascii = ascii_of(id, "id", &text, &size);
    if (is_ascii < 0) return NULL;
    if (!is_ascii || size != ID_LETTERS) return PyLong_FromLong(-1);
    long found = 0;
    for (int i = 0; i < 4; i++) {
        long value = VALUES[(uint8_t)text[i]];
        if (value == 64) return PyLong_FromLong(-1);
        found = found << 6 | value;
    }
    return PyLong_FromLong(found >> 4);
}

/* Status documents. */

/* Read seconds that fit 15 digits. Return 0 if they do not, -1 with an exception if it is no number. */
static int small_seconds(PyObject *value, double *found) {
    *found = PyFloat_AsDouble(value);
    if (*found == -1.0 && PyErr_Occurred()) return -1;
    return *found > -1.0 && *found < 1e15;
}

/* document(before, position, p50, p90, poll after, first_seen, after, extra) -> bytes or None */
static PyObject *document(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (!check_count("document", count, 8)) return NULL;
    static const int TEXTS[4] = {0, 5, 6, 7};
    Py_ssize_t sum = 0;
    for (int i = 0; i < 4; i++) {
        if (!is_bytes(args[TEXTS[i]], "a part")) return NULL;
        if (PyBytes_GET_SIZE(args[TEXTS[i]]) > 1 << 24) Py_RETURN_NONE;
        sum += PyBytes_GET_SIZE(args[TEXTS[i]]);
    }
    int64_t position;
    double seconds[3] = {0.0}; /* not all are read if one number does not fit */
    int is_fit = small_number(args[1], &position);
    for (int i = 0; i < 3 && is_fit > 0; i++) is_fit = small_seconds(args[2 + i], &seconds[i]);
    if (is_fit < 0) return NULL;
    double hundredths = 100.0 * seconds[2] + 0.5;
    if (!is_fit || !(hundredths >= 0.0 && hundredths < 10000.0)) Py_RETURN_NONE;
    char middle[160], *to = middle;
    to = write_number(to, position);
    to = WRITE(to, ", \"eta_seconds\": {\"p50\": ");
    to = write_number(to, (int64_t)ceil(seconds[0]));
    to = WRITE(to, ", \"p90\": ");
    to = write_number(to, (int64_t)ceil(seconds[1]));
    to = WRITE(to, "}, \"poll_after_seconds\": ");
    to = write_number(to, (int64_t)hundredths / 100);
    *to++ = '.';
    to = two_digits(to, (int)((int64_t)hundredths % 100));
    to = WRITE(to, ", \"first_seen\": ");
    PyObject *made = PyBytes_FromStringAndSize(NULL, sum + (to - middle) + 1);
    if (!made) return NULL;
    Py_ssize_t size = to - middle;
    to = write_text(PyBytes_AS_STRING(made), PyBytes_AS_STRING(args[0]), PyBytes_GET_SIZE(args[0]));
    to = write_text(to, middle, size);
    for (int i = 5; i < 8; i++) to = write_text(to, PyBytes_AS_STRING(args[i]), PyBytes_GET_SIZE(args[i]));
    *to = '}';
    return made;
}

/* Times. */

/* moment(seconds) -> RFC 3339 in UTC with milliseconds, in quotes; None outside of the years 1970 to 9999 */
static PyObject *moment(PyObject *Py_UNUSED(module), PyObject *seconds) {
    double us = PyFloat_AsDouble(seconds) * 1000000.0 + 0.5;
    if (us < 0.0 && PyErr_Occurred()) return NULL;
    if (!(us >= 0.0 && us < 253402300800.0e6)) Py_RETURN_NONE;
    int64_t ms = (int64_t)us / 1000, second = ms / 1000;
    int day_second = (int)(second % 86400);
    /* Days since 0000-03-01, so that a leap day is the last of its year (H. Hinnant, "days_from_civil"). */
    int64_t days = second / 86400 + 719468, era = days / 146097;
    int of_era = (int)(days - era * 146097);
    int year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int from_march = (5 * of_year + 2) / 153, day = of_year - (153 * from_march + 2) / 5 + 1;
    int month = from_march < 10 ? from_march + 3 : from_march - 9;
    int year = year_of_era + (int)era * 400 + (month <= 2);
    char text[26], *to = text;
    *to++ = '"';
    to = two_digits(to, year / 100), to = two_digits(to, year % 100);
    *to++ = '-';
    to = two_digits(to, month);
    *to++ = '-';
    to = two_digits(to, day);
    *to++ = 'T';
    to = two_digits(to, day_second / 3600);
    *to++ = ':';
    to = two_digits(to, day_second / 60 % 60);
    *to++ = ':';
    to = two_digits(to, day_second % 60);
    *to++ = '.', *to++ = (char)('0' + ms % 1000 / 100);
    to = two_digits(to, (int)(ms % 100));
    *to++ = 'Z', *to++ = '"';
    return PyBytes_FromStringAndSize(text, to - text);
}

/* Pages. */

enum { MOST_VALUES = 16 };

/* fill(parts, order, widths, values) -> bytes: every second part is a gap for a value, filled up with spaces */
static PyObject *fill(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (!check_count("fill", count, 4)) return NULL;
    PyObject *parts = args[0], *order = args[1], *widths = args[2], *values = args[3];
    if (!PyList_Check(parts) || !PyBytes_Check(order) || !PyTuple_Check(widths) || !PyTuple_Check(values)) {
        PyErr_SetString(PyExc_TypeError, "fill takes a list, bytes and two tuples");
        return NULL;
    }
    Py_ssize_t gaps = PyBytes_GET_SIZE(order), sum = 0, wide[MOST_VALUES];
    PyObject *value[MOST_VALUES];
    if (gaps > MOST_VALUES || PyTuple_GET_SIZE(widths) != gaps || PyList_GET_SIZE(parts) != 2 * gaps + 1) {
        PyErr_Format(PyExc_ValueError, "%zd parts, %zd values and %zd widths do not go together",
                     PyList_GET_SIZE(parts), gaps, PyTuple_GET_SIZE(widths));
        return NULL;
    }
    for (Py_ssize_t i = 0; i < gaps; i++) {
        Py_ssize_t index = (uint8_t)PyBytes_AS_STRING(order)[i];
        if (index >= PyTuple_GET_SIZE(values)) {
            PyErr_Format(PyExc_IndexError, "there is no value %zd", index);
            return NULL;
        }
        value[i] = PyTuple_GET_ITEM(values, index);
        if (!is_bytes(value[i], "a value")) return NULL;
        wide[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(widths, i));
        if (wide[i] == -1 && PyErr_Occurred()) return NULL;
        if (wide[i] < PyBytes_GET_SIZE(value[i])) wide[i] = PyBytes_GET_SIZE(value[i]);
        if (wide[i] > 1 << 24) return PyErr_NoMemory();
        sum += wide[i];
    }
    for (Py_ssize_t i = 0; i <= gaps; i++) {
        PyObject *part = PyList_GET_ITEM(parts, 2 * i);
        if (!is_bytes(part, "a part")) return NULL;
        if (sum > PY_SSIZE_T_MAX / 2 - PyBytes_GET_SIZE(part)) return PyErr_NoMemory();
        sum += PyBytes_GET_SIZE(part);
    }
    PyObject *made = PyBytes_FromStringAndSize(NULL, sum);
    if (!made) return NULL;
    char *to = PyBytes_AS_STRING(made);
    for (Py_ssize_t i = 0; i <= gaps; i++) {
        PyObject *part = PyList_GET_ITEM(parts, 2 * i);
        to = write_text(to, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part));
        if (i == gaps) break;
        Py_ssize_t size = PyBytes_GET_SIZE(value[i]);
        to = write_text(to, PyBytes_AS_STRING(value[i]), size);
        memset(to, ' ', (size_t)(wide[i] - size));
        to += wide[i] - size;
    }
    return made;
}

/* Heads of known templates. */

enum { PLACES = 1024 };

typedef struct {
    uint64_t hash;
    Py_ssize_t at;    /* where the value of the cookie field was cut out of the head */
    PyObject *key;    /* the head without it, bytes */
    PyObject *value;  /* what `put` was given; NULL in an empty place */
} Place;

typedef struct {
    PyObject_HEAD
    uint64_t seed;
    Place places[PLACES];
} HeadTable;

static const char *last_colon(const char *text, Py_ssize_t size) {
#ifdef __GLIBC__
    return memrchr(text, ':', (size_t)size);
#else
    while (size-- > 0)
        if (text[size] == ':') return text + size;
    return NULL;
#endif
}

/* Find the value of the last cookie field. Without one it is empty, at the end. */
static void cut(const char *head, Py_ssize_t size, Py_ssize_t *begin, Py_ssize_t *end) {
    *begin = *end = size;
    Py_ssize_t left = size - 1; /* a colon needs a byte behind it */
    while (left > 0) {
        const char *last = last_colon(head, left);
        if (!last || last - head < 5) return;
        Py_ssize_t colon = last - head;
        if (head[colon + 1] == ' ' && memcmp(head + colon - 5, "ookie", 5) == 0) {
            Py_ssize_t name = colon - 6;
            if (name < 2 || (head[name] != 'C' && head[name] != 'c') || head[name - 1] != '\n' ||
                head[name - 2] != '\r')
                return;
            const char *from = head + colon + 2, *stop = head + size;
            while ((from = memchr(from, '\r', (size_t)(stop - from))) != NULL) {
                if (from + 1 < stop && from[1] == '\n') {
                    *begin = colon + 2, *end = from - head;
                    return;
                }
                from++;
            }
            return;
        }
        left = colon;
    }
}

/* Return whether a cookie's bytes can be read in one way only: printable ASCII, no space at either end. */
static int is_plain(const char *text, Py_ssize_t size) {
    unsigned char odd = 0;
    for (Py_ssize_t i = 0; i < size; i++) odd |= (unsigned char)((uint8_t)(text[i] - 0x20) > 0x5E);
    return !odd && (!size || (text[0] != ' ' && text[size - 1] != ' '));
}

static uint64_t mix(uint64_t hash, const char *text, size_t size) {
    uint64_t one = hash ^ size, two = hash + 0x9E3779B97F4A7C15ULL, word;
    while (size >= 16) {
        memcpy(&word, text, 8);
        one = (one ^ word) * 0x9FB21C651E98DF25ULL;
        one ^= one >> 32;
        memcpy(&word, text + 8, 8);
        two = (two ^ word) * 0xD6E8FEB86659FD93ULL;
        two ^= two >> 32;
        text += 16, size -= 16;
    }
    while (size) {
        one = (one ^ (uint8_t)*text++) * 0x9FB21C651E98DF25ULL;
        size--;
    }
    one ^= one >> 29;
    return (one + two) * 0x9FB21C651E98DF25ULL;
}

static uint64_t hash_of(uint64_t seed, const char *before, Py_ssize_t before_size, const char *behind,
                        Py_ssize_t behind_size) {
    uint64_t hash = mix(mix(seed, before, (size_t)before_size), behind, (size_t)behind_size);
    return hash ^ hash >> 31;
}

static PyObject *table_find(HeadTable *self, PyObject *raw) {
    if (!is_bytes(raw, "head")) return NULL;
    const char *head = PyBytes_AS_STRING(raw);
    Py_ssize_t size = PyBytes_GET_SIZE(raw), at, end;
    cut(head, size, &at, &end);
    if (!is_plain(head + at, end - at)) Py_RETURN_NONE;
    uint64_t hash = hash_of(self->seed, head, at, head + end, size - end);
    const Place *place = &self->places[hash % PLACES];
    if (!place->value || place->hash != hash || place->at != at ||
        PyBytes_GET_SIZE(place->key) != at + size - end)
        Py_RETURN_NONE;
    const char *key = PyBytes_AS_STRING(place->key);
    if (memcmp(key, head, (size_t)at) || memcmp(key + at, head + end, (size_t)(size - end))) Py_RETURN_NONE;
    char *text;
    PyObject *made = PyTuple_New(2), *cookie = new_ascii(end - at, &text);
    if (!made || !cookie) {
        Py_XDECREF(made);
        Py_XDECREF(cookie);
        return NULL;
    }
    memcpy(text, head + at, (size_t)(end - at));
    Py_INCREF(place->value);
    PyTuple_SET_ITEM(made, 0, place->value);
    PyTuple_SET_ITEM(made, 1, cookie);
    return made;
}

static PyObject *table_put(HeadTable *self, PyObject *const *args, Py_ssize_t count) {
    if (!check_count("put", count, 2) || !is_bytes(args[0], "head")) return NULL;
    const char *head = PyBytes_AS_STRING(args[0]);
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]), at, end;
    cut(head, size, &at, &end);
    PyObject *key = PyBytes_FromStringAndSize(NULL, at + size - end);
    if (!key) return NULL;
    char *to = write_text(PyBytes_AS_STRING(key), head, at);
    write_text(to, head + end, size - end);
    uint64_t hash = hash_of(self->seed, head, at, head + end, size - end);
    Place *place = &self->places[hash % PLACES];
    PyObject *old_key = place->key, *old_value = place->value;
    Py_INCREF(args[1]);
    place->hash = hash, place->at = at, place->key = key, place->value = args[1];
    Py_XDECREF(old_key);
    Py_XDECREF(old_value);
    Py_RETURN_NONE;
}

static int table_traverse(HeadTable *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    for (int i = 0; i < PLACES; i++) Py_VISIT(self->places[i].value);
    return 0;
}

static int table_clear(HeadTable *self) {
    for (int i = 0; i < PLACES; i++) {
        Py_CLEAR(self->places[i].key);
        Py_CLEAR(self->places[i].value);
    }
    return 0;
}

static void table_dealloc(HeadTable *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    table_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

/* HeadTable(seed): the seed keeps anybody from choosing heads that push out each other. */
static PyObject *table_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    unsigned long long seed;
    if (keywords && PyDict_GET_SIZE(keywords)) {
        PyErr_SetString(PyExc_TypeError, "HeadTable takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "K:HeadTable", &seed)) return NULL;
    HeadTable *self = (HeadTable *)type->tp_alloc(type, 0); /* all places are empty */
    if (self) self->seed = seed;
    return (PyObject *)self;
}

static PyMethodDef TABLE_METHODS[] = {
    {"find", (PyCFunction)table_find, METH_O, "Return (value, cookie) of a head, or None."},
    {"put", (PyCFunction)(void (*)(void))table_put, METH_FASTCALL, "Remember what heads like this one mean."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot TABLE_SLOTS[] = {
    {Py_tp_doc, "What heads mean that are the same but for their cookies."},
    {Py_tp_new, table_new},
    {Py_tp_dealloc, table_dealloc},
    {Py_tp_traverse, table_traverse},
    {Py_tp_clear, table_clear},
    {Py_tp_methods, TABLE_METHODS},
    {0, NULL},
};
static PyType_Spec TABLE = {
    .name = "waiting_room._leaf.HeadTable",
    .basicsize = sizeof(HeadTable),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = TABLE_SLOTS,
};

/* Heads of responses. */

/* What is done with a field, as `edge/proxy/response.py` numbers it. All other numbers are left to the Python form. */
enum { KEPT = 0, DATE = 1, SIZED = 2, CONNECTION = 3, KEEP_ALIVE = 8, UNTIL_CLOSE = -2, MOST_DIGITS = 18 };

/* Return whether there is no control character but the CR and LF at the end of each line. */
static int is_lines(const char *text, Py_ssize_t size) {
    unsigned char odd = 0;
    Py_ssize_t ends = 0, pairs = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)text[i];
        odd |= (unsigned char)((c < 32 && c != '\r' && c != '\n') || c == 127);
        ends += c == '\r' || c == '\n';
    }
    for (const char *at = text, *end = text + size; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        pairs += at > text && at[-1] == '\r';
    return !odd && ends == 2 * pairs;
}

/* response_head(raw, uses) -> (status line, kept fields, has a date, length, Keep-Alive or None) or None.

   raw: a whole head. uses: what is done with a field, by its name as it is spelt. It reads the usual head only: every
   name is known, every value stands behind one space, no length is repeated, and the connection stays open. */
static PyObject *response_head(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count) {
    if (!check_count("response_head", count, 2) || !is_bytes(args[0], "head")) return NULL;
    if (!PyDict_Check(args[1])) return PyErr_Format(PyExc_TypeError, "uses must be a dictionary");
    const char *raw = PyBytes_AS_STRING(args[0]), *end = raw + PyBytes_GET_SIZE(args[0]);
    if (end - raw < 4 || end - raw > 1 << 20 || memcmp(end - 4, "\r\n\r\n", 4) || !is_lines(raw, end - raw))
        Py_RETURN_NONE;
    end -= 2; /* of the last field's line */
    const char *at = memchr(raw, '\r', (size_t)(end - raw)); /* all of them are ends of lines */
    const char *line_end = at, *idle = NULL;
    Py_ssize_t idle_size = 0, kept_size = 0;
    int64_t length = UNTIL_CLOSE;
    int has_date = 0;
    PyObject *kept = PyBytes_FromStringAndSize(NULL, end - raw), *made = NULL;
    if (!kept) return NULL;
    for (at += 2; at < end;) {
        const char *stop = memchr(at, '\r', (size_t)(end - at)), *colon = memchr(at, ':', (size_t)(stop - at));
        if (!colon || colon == at || stop - colon < 3 || colon[1] != ' ' || (uint8_t)colon[2] <= ' ' ||
            (uint8_t)stop[-1] <= ' ')
            goto odd;
        PyObject *name = PyBytes_FromStringAndSize(at, colon - at);
        if (!name) goto done;
        PyObject *known = PyDict_GetItemWithError(args[1], name);
        Py_DECREF(name);
        if (!known) {
            if (PyErr_Occurred()) goto done;
            goto odd;
        }
        long use = PyLong_AsLong(known);
        if (use == -1 && PyErr_Occurred()) goto done;
        const char *value = colon + 2;
        if (use == KEPT || use == DATE) {
            has_date |= use == DATE;
            memcpy(PyBytes_AS_STRING(kept) + kept_size, at, (size_t)(stop + 2 - at));
            kept_size += stop + 2 - at;
        } else if (use == SIZED) {
            if (length != UNTIL_CLOSE || stop - value > MOST_DIGITS) goto odd;
            for (length = 0; value < stop; value++) {
                if (*value < '0' || *value > '9') goto odd;
                length = 10 * length + (*value - '0');
            }
        } else if (use == CONNECTION) {
            if (stop - value != 10 || (memcmp(value, "keep-alive", 10) && memcmp(value, "Keep-Alive", 10))) goto odd;
        } else if (use == KEEP_ALIVE && !idle) {
            idle = value, idle_size = stop - value;
        } else {
            goto odd;
        }
        at = stop + 2;
    }
    if (_PyBytes_Resize(&kept, kept_size) < 0) return NULL;
    made = Py_BuildValue("(y#OOLN)", raw, line_end - raw, kept, has_date ? Py_True : Py_False, (long long)length,
                         idle ? PyBytes_FromStringAndSize(idle, idle_size) : Py_NewRef(Py_None));
    goto done;
odd:
    made = Py_NewRef(Py_None);
done:
    Py_XDECREF(kept);
    return made;
}

/* The module. */

/* use(name): 'portable' or 'sha_ni'; for measurements and tests. Return the name of the one that was used before. */
static PyObject *use(PyObject *Py_UNUSED(module), PyObject *wanted) {
    const char *before = blocks == blocks_portable ? "portable" : "sha_ni", *name = PyUnicode_AsUTF8(wanted);
    if (!name) return NULL;
    if (strcmp(name, "portable") == 0) {
        blocks = blocks_portable;
#if HAS_SHA_NI
    } else if (strcmp(name, "sha_ni") == 0 && has_sha_ni()) {
        blocks = blocks_sha_ni;
#endif
    } else {
        return PyErr_Format(PyExc_ValueError, "this machine has no SHA-256 named '%s'", name);
    }
    return PyUnicode_FromString(before);
}

static PyMethodDef METHODS[] = {
    {"digest", (PyCFunction)(void (*)(void))mac_digest, METH_FASTCALL, "Return the HMAC-SHA256 of a payload."},
    {"document", (PyCFunction)(void (*)(void))document, METH_FASTCALL, "Return the status document of a visitor."},
    {"fill", (PyCFunction)(void (*)(void))fill, METH_FASTCALL, "Return parts and values as one."},
    {"find_ticket", (PyCFunction)(void (*)(void))find_ticket, METH_FASTCALL, "Return the ticket in a Cookie value."},
    {"ident", ident, METH_O, "Return the id of these bytes."},
    {"mac_state", mac_state, METH_O, "Return the state of a key."},
    {"moment", moment, METH_O, "Return a moment as a JSON string."},
    {"response_head", (PyCFunction)(void (*)(void))response_head, METH_FASTCALL, "Return what a response's head says."},
    {"sign", (PyCFunction)(void (*)(void))sign, METH_FASTCALL, "Return payload, dot and signature."},
    {"slot", slot, METH_O, "Return the first 20 bits of an id."},
    {"ticket_cookie", (PyCFunction)(void (*)(void))ticket_cookie, METH_FASTCALL, "Return a cookie with a ticket."},
    {"unsign", (PyCFunction)(void (*)(void))unsign, METH_FASTCALL, "Return the payload of signed bytes, or None."},
    {"use", use, METH_O, "Choose how SHA-256 is computed."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    memset(VALUES, 64, sizeof VALUES);
    for (int i = 0; i < 64; i++) VALUES[(uint8_t)LETTERS[i]] = (uint8_t)i;
#if HAS_SHA_NI
    if (has_sha_ni()) blocks = blocks_sha_ni;
#endif
    PyObject *table = PyType_FromSpec(&TABLE);
    if (!table) return -1;
    int failed = PyModule_AddObjectRef(module, "HeadTable", table);
    Py_DECREF(table);
    return failed;
}

/* Without Py_mod_gil a free-threaded Python takes its lock at the import: a HeadTable has none of its own. */
static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, execute}, {0, NULL}};
static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_leaf", "Functions on bytes for the compiled form.", 0, METHODS, SLOTS, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__leaf(void) { return PyModuleDef_Init(&MODULE); }
