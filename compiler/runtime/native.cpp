// Sparse attention on a CPU, forward and backward, in float32; of bfloat16 by its dot products where
// the processor has them. By the instructions of AVX-512 where there are any, else by vectors of 8
// that the compiler makes instructions of (AVX2, mostly).
//
// Queries are taken in groups of 64 that see almost the same keys, in any order. For scores a number
// of each query of a group stands in a lane, so they need no sum across lanes and a key may lie
// anywhere: it is read a number at a time and meets all queries of its group. For sums of values a
// number of the value does.
//
// What is multiplied comes in words of 32 bits: a float32, or two bfloat16 side by side, of which a
// product adds both. So the loops are those of float32, over half as many words.
//
// Online softmax over chunks of keys (Milakov & Gimelshein 2018), backward from the log-sum-exp
// (Dao et al. 2022). Compile with -O3 -march=native -fopenmp -ffp-contract=fast.

#if defined(__AVX512BW__) && defined(__AVX512VL__)
#define MMSPEC_AVX512
#endif
#ifdef __SSE2__
#include <immintrin.h>
#endif
#include <sys/mman.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>

extern "C" {

// Numbers [batch, head, token, width], those of a token side by side; strides count numbers.
struct Tensor {
    void *data;
    int64_t batch, head, token;
};

// `count` keys from `key` on that all queries of a group see; or, where `table` is not negative,
// from there on in `columns` how far each key is from `key`, and in `seen` a bit for each query
// that sees it.
struct Part {
    int32_t key, count, table;
};

struct Problem {
    Tensor q, k, v, y;
    Tensor grad, dq, dk, dv;  // backward alone
    float *total;             // log-sum-exp [batch, head, query]; 0 where there are no keys
    const uint8_t *valid;     // [batch, key]; null: all are
    int64_t batch, heads, key_heads, queries, keys, width;
    int64_t groups;
    const int32_t *first_query;  // [groups + 1]: places in `query_order`
    const int64_t *first_part;   // [groups + 1]
    const Part *parts;
    const int32_t *columns;
    const uint64_t *seen;
    const int32_t *query_order;  // which token stands at a place; null: as they come
    const int32_t *key_order;
    float *sums;  // backward: room for gradients [threads, 2, key, width in whole vectors]
    // What is added to scores [heads, 2 most + 1]: at `most` for a query at the place of its key,
    // above it for one behind it; 0 further apart. Null: nothing.
    const float *relative;
    const int32_t *places;  // of each token; null: as they come; negative: nothing is added
    int64_t most;
    float scale;
    int32_t bfloat16;  // else float32
    int32_t threads;
};

}  // extern "C"

namespace {

#ifdef MMSPEC_AVX512
typedef __m512 Floats;
#else
typedef float Floats __attribute__((vector_size(32)));
typedef int32_t Ints __attribute__((vector_size(32)));
#endif

constexpr int LANES = sizeof(Floats) / sizeof(float);
constexpr int GROUP = 64;  // queries
constexpr int WIDEST = 256;
constexpr int STRIDE = WIDEST + LANES;  // of rows: no power of two, whose lines share a cache set
constexpr int CHUNK = 64;               // keys whose scores are held
constexpr int BLOCK = 8;                // keys or queries that are passed over together
constexpr int ROWS = LANES < 16 ? 4 : 8;  // keys or queries whose sums are in registers: of 16, of 32
constexpr int LINE = 64;                // bytes of a cache
constexpr int SHARE = 64;               // groups that a thread takes at a time, at most
constexpr float LOG2_E = 1.44269504f;
constexpr float LN_2 = 0.693147181f;
constexpr int32_t NOWHERE = -(1 << 30);  // a place that is far from all others
constexpr float LOWEST = -1e30f;  // score of a hidden key is twice that: it never is the largest

struct BFloat16 {
    uint16_t bits;
};

inline float number(float x) { return x; }

inline float number(BFloat16 x) {
    const uint32_t bits = uint32_t(x.bits) << 16;
    float y;
    std::memcpy(&y, &bits, sizeof y);
    return y;
}

inline void put(BFloat16 &to, float x) {  // to the nearest, ties to even
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    to.bits = uint16_t(x != x ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Before others read what was stored past the cache.
inline void finish_stores() {
#ifdef __SSE2__
    _mm_sfence();
#endif
}

inline int thread() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

// How numbers are multiplied: so many in a word.
template <class T>
struct Words {
    static constexpr int NUMBERS = 1;
    static Floats add_product(Floats sum, Floats x, Floats y) { return sum + x * y; }
};

#if defined(__AVX512BF16__) && !defined(MMSPEC_WITHOUT_DOTS)
template <>
struct Words<BFloat16> {
    static constexpr int NUMBERS = 2;
    static Floats add_product(Floats sum, Floats x, Floats y) {
        return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
    }
};

#endif

#ifdef MMSPEC_AVX512

typedef __mmask16 Mask;  // a bit for each lane
typedef __m512i Ints;

inline Floats load(const float *from) { return _mm512_load_ps(from); }
inline Floats load_anywhere(const float *from) { return _mm512_loadu_ps(from); }
inline void store(float *to, Floats x) { _mm512_store_ps(to, x); }
inline void store_past_cache(float *to, Floats x) { _mm512_stream_ps(to, x); }
inline Floats all(float x) { return _mm512_set1_ps(x); }
inline Mask mask(uint64_t bits) { return Mask(bits); }
inline Floats choose(Mask which, Floats x, Floats y) { return _mm512_mask_mov_ps(y, which, x); }
inline Floats only(Mask which, Floats x) { return _mm512_maskz_mov_ps(which, x); }
inline Floats only_product(Mask which, Floats x, Floats y) {
    return _mm512_maskz_mul_ps(which, x, y);
}
inline Floats larger(Floats x, Floats y) { return _mm512_max_ps(x, y); }
inline float sum_of(Floats x) { return _mm512_reduce_add_ps(x); }
inline Floats nearest(Floats x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Floats times_power_of_2(Floats x, Floats whole) { return _mm512_scalef_ps(x, whole); }

inline Ints load_ints(const int32_t *from) { return _mm512_load_si512(from); }
// Lanes of two vectors, those of the second counted on.
inline Floats pick(Floats x, Floats y, Ints which) { return _mm512_permutex2var_ps(x, which, y); }

// table[columns[i] + shift], 0 where that is not from 0 to `last`; whether any is. in_order: columns
// follow one another.
inline bool look_up(const float *table, const int32_t *columns, int32_t shift, int32_t last,
                    bool in_order, Floats &found) {
    const __m512i column =
        _mm512_add_epi32(_mm512_load_si512(columns), _mm512_set1_epi32(shift));
    const __mmask16 there = _mm512_cmple_epu32_mask(column, _mm512_set1_epi32(last));
    if (!there) return false;
    found = in_order ? _mm512_maskz_loadu_ps(there, table + (columns[0] + shift))
                     : _mm512_mask_i32gather_ps(all(0), there, column, table, 4);
    return true;
}

#else

typedef Ints Mask;  // all bits of a lane, or none

inline Floats load(const float *from) { return *reinterpret_cast<const Floats *>(from); }
inline Floats load_anywhere(const float *from) {
    Floats x;
    std::memcpy(&x, from, sizeof x);
    return x;
}
inline void store(float *to, Floats x) { *reinterpret_cast<Floats *>(to) = x; }
inline void store_past_cache(float *to, Floats x) {
#ifdef __AVX__
    _mm256_stream_ps(to, (__m256)x);
#else
    store(to, x);
#endif
}
inline Floats all(float x) { return Floats{x, x, x, x, x, x, x, x}; }
inline Mask mask(uint64_t bits) {
    const int32_t low = int32_t(bits & 0xff);
    return (Ints{low, low, low, low, low, low, low, low} & Ints{1, 2, 4, 8, 16, 32, 64, 128}) != 0;
}
inline Floats only(Mask which, Floats x) { return (Floats)(which & (Ints)x); }
inline Floats choose(Mask which, Floats x, Floats y) {
    return (Floats)((which & (Ints)x) | (~which & (Ints)y));
}
inline Floats only_product(Mask which, Floats x, Floats y) { return only(which, x * y); }
inline Floats larger(Floats x, Floats y) {
#ifdef __AVX__
    return (Floats)_mm256_max_ps((__m256)x, (__m256)y);
#else
    return choose(x > y, x, y);
#endif
}
inline float sum_of(Floats x) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i];
    return sum;
}
inline Floats nearest(Floats x) {  // beyond 2^22 there are no fractions worth a thought
    const Floats shift = all(12582912.0f);
    return x + shift - shift;
}
inline Floats times_power_of_2(Floats x, Floats whole) {  // 0 where the power is not normal
    const Mask normal = whole > all(-127);
    const Ints power = __builtin_convertvector(choose(normal, whole, all(-127)), Ints) + 127;
    return x * (Floats)(power << 23);
}

inline Ints load_ints(const int32_t *from) { return *reinterpret_cast<const Ints *>(from); }
inline Floats pick(Floats x, Floats y, Ints which) {
#ifdef __clang__
    alignas(Floats) float both[2 * LANES];
    store(both, x), store(both + LANES, y);
    Floats found;
    for (int i = 0; i < LANES; i++) found[i] = both[which[i]];
    return found;
#else
    return __builtin_shuffle(x, y, which);
#endif
}

inline bool look_up(const float *table, const int32_t *columns, int32_t shift, int32_t last,
                    bool in_order, Floats &found) {
    const int64_t first = int64_t(columns[0]) + shift;
    if (in_order && (first > last || first + LANES <= 0)) return false;
    if (in_order && first >= 0 && first + LANES - 1 <= last) {
        found = load_anywhere(table + first);
        return true;
    }
    alignas(Floats) float numbers[LANES] = {};
    bool any = false;
    for (int i = 0; i < LANES; i++) {
        const uint32_t column = uint32_t(columns[i]) + uint32_t(shift);
        if (column > uint32_t(last)) continue;
        numbers[i] = table[column];
        any = true;
    }
    found = load(numbers);
    return any;
}

#endif

#if defined(__AVX512BF16__)
// to[c]: the numbers of two rows at c, side by side; 0 beyond the width, and of a row that is null.
inline void pair(const BFloat16 *left, const BFloat16 *right, int width, float *to) {
    for (int c = 0; c < width; c += LANES) {
        const __mmask16 there = __mmask16(width - c < LANES ? (1 << (width - c)) - 1 : 0xffff);
        const __m256i low = _mm256_maskz_loadu_epi16(there, left + c);
        const __m256i high = _mm256_maskz_loadu_epi16(right ? there : 0, right + c);
        const __m512i highs = _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16);
        store(to + c, (Floats)_mm512_or_si512(_mm512_cvtepu16_epi32(low), highs));
    }
}

// Words of weights: of two keys that follow one another, for 16 queries ...
inline Floats pair(Floats left, Floats right) {
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(right, left);
    const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(both));
    const __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(both, 1));
    return (Floats)_mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// ... or of two queries, for one key.
inline void store_pairs(float *to, Floats x) {
    _mm256_store_si256(reinterpret_cast<__m256i *>(to), (__m256i)_mm512_cvtneps_pbh(x));
}
#else
inline void pair(const BFloat16 *, const BFloat16 *, int, float *) {}
inline Floats pair(Floats left, Floats) { return left; }
inline void store_pairs(float *, Floats) {}
#endif
inline void pair(const float *, const float *, int, float *) {}  // one is a word

// 2^x to 8e-8 of it, and 0 for what is far below: minimax polynomial of degree 5 on [-1/2, 1/2].
inline Floats power_of_2(Floats x) {
    const Floats whole = nearest(x);
    const Floats rest = x - whole;
    Floats y = rest * 0.00132764721f + 0.00967554141f;
    y = y * rest + 0.0555071327f;
    y = y * rest + 0.240221197f;
    y = y * rest + 0.693146967f;
    y = y * rest + 1.0f;
    return times_power_of_2(y, whole);
}

// to[c] = factor from[c]; `from` goes on with zeros to whole vectors.
inline void put_row(BFloat16 *to, const float *from, float factor, int width) {
    for (int c = 0; c < width; c++) put(to[c], from[c] * factor);
}

// Whole lines of a cache go past it: nobody reads them before the rest of the result is written,
// and what they replace need not be fetched.
inline void put_row(float *to, const float *from, float factor, int width) {
    const bool lines = width % LANES == 0 && reinterpret_cast<uintptr_t>(to) % LINE == 0;
    for (int c = 0; lines && c < width; c += LANES)
        store_past_cache(to + c, load(from + c) * all(factor));
    for (int c = 0; !lines && c < width; c++) to[c] = from[c] * factor;
}

template <int STEP>
inline void interleave(Floats *r) {
    alignas(64) int32_t low[LANES], high[LANES];
    for (int i = 0; i < LANES; i++) {
        low[i] = i & STEP ? LANES + (i ^ STEP) : i;
        high[i] = i & STEP ? LANES + i : i | STEP;
    }
    const auto lows = load_ints(low), highs = load_ints(high);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) {
        if (i & STEP) continue;
        const Floats a = r[i], b = r[i | STEP];
        r[i] = pick(a, b, lows);
        r[i | STEP] = pick(a, b, highs);
    }
}

// columns[c][q] from rows[q][c]
void turn(const float *rows, float *columns, int width) {
    for (int c = 0; c < width; c += LANES)
        for (int q = 0; q < GROUP; q += LANES) {
            Floats r[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++) r[i] = load(rows + (q + i) * STRIDE + c);
            interleave<1>(r);
            interleave<2>(r);
            interleave<4>(r);
            if (LANES > 8) interleave<8>(r);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++) store(columns + (c + i) * GROUP + q, r[i]);
        }
}

// Some of the keys of a group, and who sees them. They go in blocks; what no query of a block sees
// of a block of keys is not computed, nor read.
struct Keys {
    int64_t group;
    bool first, last;  // of their group
    int32_t at[CHUNK];
    uint64_t seen[CHUNK];
    int count;                      // a multiple of BLOCK: the last are seen by none
    bool whole;                     // all queries see all of them
    uint8_t active[CHUNK / BLOCK];  // a bit for each block of queries that sees some of a block

    bool block_sees(int j, int q) const { return active[j / BLOCK] >> q / BLOCK & 1; }
    bool vector_sees(int j, int q) const {
        return active[j / BLOCK] >> q / BLOCK & ((1 << LANES / BLOCK) - 1);
    }
};

// Rows that are wanted soon, fetched a few at a time while others are computed: all at once would
// fill the few buffers that a core has for what it waits for.
struct Ahead {
    struct Row {
        const char *from;
        int size;
    };
    Row rows[4 * (CHUNK + GROUP)];
    int count = 0, done = 0, share = 0;

    void add(const void *from, int64_t size) {
        rows[count++] = {static_cast<const char *>(from), int(size)};
    }
    void begin() { count = done = 0; }
    void spread(int steps) { share = (count + steps - 1) / std::max(steps, 1); }
    void step() {
        for (const int stop = std::min(done + share, count); done < stop; done++)
            for (int at = 0; at < rows[done].size; at += LINE)
                __builtin_prefetch(rows[done].from + at, 0, 2);
    }
};

// scores[a][q] = factor key[a] . queries[q] of a block, for VECTORS of queries
template <class T, int VECTORS>
inline void multiply_block(const float *const *keys, const float *queries, int words, float factor,
                           float *scores) {
    const float *key[ROWS];
    Floats sum[ROWS][VECTORS] = {};
#pragma GCC unroll 8
    for (int a = 0; a < ROWS; a++) key[a] = keys[a];
    for (int c = 0; c < words; c++, queries += GROUP) {
        Floats query[VECTORS];
#pragma GCC unroll 2
        for (int x = 0; x < VECTORS; x++) query[x] = load(queries + x * LANES);
#pragma GCC unroll 8
        for (int a = 0; a < ROWS; a++) {
            const Floats word = all(key[a][c]);
#pragma GCC unroll 2
            for (int x = 0; x < VECTORS; x++)
                sum[a][x] = Words<T>::add_product(sum[a][x], word, query[x]);
        }
    }
#pragma GCC unroll 8
    for (int a = 0; a < ROWS; a++)
#pragma GCC unroll 2
        for (int x = 0; x < VECTORS; x++)
            store(scores + a * GROUP + x * LANES, sum[a][x] * all(factor));
}

// scores[j][q] = factor rows[j] . queries[q] of a chunk; rows: of keys or values
template <class T>
__attribute__((noinline)) void multiply(const Keys &keys, const float *const *rows,
                                        const float *queries, int words, float factor,
                                        float *scores, Ahead &ahead) {
    for (int j = 0; j < keys.count; j += ROWS)
        for (int q = 0; q < GROUP; q += 2 * LANES) {
            ahead.step();
            const bool left = keys.vector_sees(j, q), right = keys.vector_sees(j, q + LANES);
            const int from = q + (left ? 0 : LANES);
            float *const into = scores + j * GROUP + from;
            if (left && right)
                multiply_block<T, 2>(rows + j, queries + from, words, factor, into);
            else if (left || right)
                multiply_block<T, 1>(rows + j, queries + from, words, factor, into);
        }
}

// sums[q][c] = keep[q] sums[q][c] + weights[j][q] rows[j][c] over a chunk, VECTORS * LANES numbers;
// rows: of values or keys, a word of them or of weights is of one key or two that follow one
// another; keep null: there are no sums yet
template <class T, int VECTORS>
__attribute__((noinline)) void add_rows(const Keys &keys, const float *const *rows,
                                        const float *weights, const float *keep, int c,
                                        float *sums, Ahead &ahead) {
    for (int q = 0; q < GROUP; q += ROWS) {
        ahead.step();
        float *const at = sums + q * STRIDE + c;
        Floats sum[ROWS][VECTORS] = {};
#pragma GCC unroll 8
        for (int a = 0; keep && a < ROWS; a++)
#pragma GCC unroll 2
            for (int x = 0; x < VECTORS; x++)
                sum[a][x] = all(keep[q + a]) * load(at + a * STRIDE + x * LANES);
        for (int j = 0; j < keys.count; j += BLOCK) {
            if (!keys.block_sees(j, q)) continue;
            constexpr int NUMBERS = Words<T>::NUMBERS;
            const float *const *row = rows + j / NUMBERS;
            const float *weight = weights + j / NUMBERS * GROUP + q;
#pragma GCC unroll 1
            for (int b = 0; b < BLOCK / NUMBERS; b++, row++, weight += GROUP) {
                Floats words[VECTORS];
#pragma GCC unroll 2
                for (int x = 0; x < VECTORS; x++)
                    words[x] = load_anywhere(*row + c + x * LANES);
#pragma GCC unroll 8
                for (int a = 0; a < ROWS; a++)
#pragma GCC unroll 2
                    for (int x = 0; x < VECTORS; x++)
                        sum[a][x] = Words<T>::add_product(sum[a][x], all(weight[a]), words[x]);
            }
        }
#pragma GCC unroll 8
        for (int a = 0; a < ROWS; a++)
#pragma GCC unroll 2
            for (int x = 0; x < VECTORS; x++) store(at + a * STRIDE + x * LANES, sum[a][x]);
    }
}

// rows[j][c] += weights[j][q] queries[q][c] over the queries of a group, VECTORS * LANES numbers;
// a word of weights or queries is of one query or two that follow one another
template <class T, int VECTORS>
__attribute__((noinline)) void add_queries(const Keys &keys, float *const *rows,
                                           const float *weights, const float *queries, int used,
                                           int c) {
    for (int j = 0; j < keys.count; j += ROWS) {
        Floats sum[ROWS][VECTORS];
#pragma GCC unroll 8
        for (int a = 0; a < ROWS; a++)
#pragma GCC unroll 2
            for (int x = 0; x < VECTORS; x++) sum[a][x] = load(rows[j + a] + c + x * LANES);
        for (int first = 0; first < used; first += BLOCK) {
            if (!keys.block_sees(j, first)) continue;
            constexpr int NUMBERS = Words<T>::NUMBERS;
            const float *weight = weights + j * GROUP + first / NUMBERS;
            const float *query = queries + first / NUMBERS * STRIDE + c;
            const int count = (std::min(BLOCK, used - first) + NUMBERS - 1) / NUMBERS;
            for (int q = 0; q < count; q++, weight++, query += STRIDE) {
                Floats words[VECTORS];
#pragma GCC unroll 2
                for (int x = 0; x < VECTORS; x++) words[x] = load(query + x * LANES);
#pragma GCC unroll 8
                for (int a = 0; a < ROWS; a++)
#pragma GCC unroll 2
                    for (int x = 0; x < VECTORS; x++)
                        sum[a][x] =
                            Words<T>::add_product(sum[a][x], all(weight[a * GROUP]), words[x]);
            }
        }
        // several keys of a block may be one: those that fill it up are seen by none, and come last
#pragma GCC unroll 8
        for (int a = 0; a < ROWS; a++)
#pragma GCC unroll 2
            for (int x = 0; x < VECTORS; x++)
                store(rows[j + ROWS - 1 - a] + c + x * LANES, sum[ROWS - 1 - a][x]);
    }
}

// Hides scores of keys that a query does not see; raises `top` to the largest of each query.
void hide(float *scores, const Keys &keys, float *top) {
    for (int q = 0; q < GROUP; q += LANES) {
        Floats high = load(top + q);
        for (int j = 0; j < keys.count; j += BLOCK) {
            if (!keys.vector_sees(j, q)) continue;
            float *const score = scores + j * GROUP + q;
            Floats x[BLOCK];
#pragma GCC unroll 8
            for (int a = 0; a < BLOCK; a++) {
                x[a] = load(score + a * GROUP);
                if (keys.whole) continue;
                x[a] = choose(mask(keys.seen[j + a] >> q), x[a], all(2 * LOWEST));
                store(score + a * GROUP, x[a]);
            }
#pragma GCC unroll 3
            for (int step = 1; step < BLOCK; step *= 2)
#pragma GCC unroll 8
                for (int a = 0; a + step < BLOCK; a += 2 * step)
                    x[a] = larger(x[a], x[a + step]);
            high = larger(high, x[0]);
        }
        store(top + q, high);
    }
}

// What a group knows of its queries, in words: rows [query][column], columns [column][query].
struct Room {
    alignas(64) float rows[GROUP][STRIDE], other_rows[GROUP][STRIDE], sums[GROUP][STRIDE];
    alignas(64) float queries[WIDEST][GROUP], grads[WIDEST][GROUP];
    alignas(64) float scores[CHUNK][GROUP], slopes[CHUNK][GROUP], slope_pairs[CHUNK][GROUP];
    alignas(64) float top[GROUP], total[GROUP], keep[GROUP], delta[GROUP];
    alignas(64) int32_t places[GROUP];
    bool in_order[GROUP / LANES];  // of a vector of queries whether their places follow one another
    alignas(64) float packed[3][CHUNK][STRIDE];  // keys and values that cannot be read in place
    const float *key_rows[CHUNK], *value_rows[CHUNK], *sum_rows[CHUNK];
    Keys chunks[2];
    Ahead ahead;
};

Room &room_of_thread() {
    static thread_local std::unique_ptr<Room> room;
    if (!room) room.reset(new Room);
    return *room;
}

// The width in whole vectors.
inline int64_t padded_width(const Problem &p) { return (p.width + LANES - 1) / LANES * LANES; }

// One head of one sample.
template <class T>
struct Head {
    const Problem &problem;
    const T *q, *k, *v;
    const uint8_t *valid;
    const float *relative;
    int padded;  // width in whole vectors
    int words;   // of a row

    Head(const Problem &p, int64_t sample, int64_t head)
        : problem(p), valid(p.valid ? p.valid + sample * p.keys : nullptr),
          relative(p.relative ? p.relative + head * (2 * p.most + 1) : nullptr) {
        const int64_t key_head = head / (p.heads / p.key_heads);
        q = at(p.q, sample, head);
        k = at(p.k, sample, key_head);
        v = at(p.v, sample, key_head);
        padded = int(padded_width(p));
        words = int((p.width + NUMBERS - 1) / NUMBERS);
    }

    static constexpr int NUMBERS = Words<T>::NUMBERS;

    static T *at(const Tensor &x, int64_t sample, int64_t head) {
        return static_cast<T *>(x.data) + sample * x.batch + head * x.head;
    }

    int64_t query(int64_t place) const {
        return problem.query_order ? problem.query_order[place] : place;
    }

    // Where a token stands for relative scores.
    int32_t place(int64_t token) const {
        return problem.places ? problem.places[token] : int32_t(token);
    }

    // A row in words, 0 beyond the width.
    void copy(const T *from, float *into) const {
        if (NUMBERS == 1)
            for (int c = 0; c < words; c++) into[c] = number(from[c]);
        else
            into[words - 1] = 0, std::memcpy(into, from, problem.width * sizeof(T));
        for (int c = words; c < padded; c++) into[c] = 0;
    }

    // Rows of the queries of a group.
    void gather(int64_t group, const T *from, int64_t stride, float *rows) const {
        const int64_t first = problem.first_query[group], stop = problem.first_query[group + 1];
        for (int64_t place = first; place < stop; place++, rows += STRIDE)
            copy(from + query(place) * stride, rows);
    }

    // The same, where a word is of two queries that follow one another.
    void gather_pairs(int64_t group, const T *from, int64_t stride, float *rows) const {
        const int64_t first = problem.first_query[group], stop = problem.first_query[group + 1];
        for (int64_t place = first; place < stop; place += 2, rows += STRIDE) {
            const T *const next = place + 1 < stop ? from + query(place + 1) * stride : nullptr;
            pair(from + query(place) * stride, next, int(problem.width), rows);
        }
    }

    // Rows of the queries of a group, each times a factor, to where they belong.
    void scatter(int64_t group, const float *rows, const float *factors, T *to,
                 int64_t stride) const {
        const int64_t first = problem.first_query[group], stop = problem.first_query[group + 1];
        for (int64_t place = first; place < stop; place++, rows += STRIDE)
            put_row(to + query(place) * stride, rows, factors[place - first], int(problem.width));
    }

    // The next chunk of the keys of a group from `part` on.
    void next(int64_t group, int64_t &part, int32_t &done, Keys &into) const {
        const int64_t end = problem.first_part[group + 1];
        int count = 0;
        into.whole = true;
        while (part < end && count < CHUNK) {
            const Part &of = problem.parts[part];
            const int taken = std::min(of.count - done, CHUNK - count);
            if (of.table < 0) {
                for (int i = 0; i < taken; i++) into.at[count + i] = of.key + done + i;
                for (int i = 0; i < taken; i++) into.seen[count + i] = ~uint64_t(0);
            } else {
                const int32_t *column = problem.columns + of.table + done;
                for (int i = 0; i < taken; i++) into.at[count + i] = of.key + column[i];
                std::memcpy(into.seen + count, problem.seen + of.table + done,
                            taken * sizeof(uint64_t));
                into.whole = false;
            }
            count += taken;
            done += taken;
            if (done == of.count) part++, done = 0;
        }
        if (problem.key_order)
            for (int i = 0; i < count; i++) into.at[i] = problem.key_order[into.at[i]];
        if (valid) count = only_valid(into, count);
        into.count = (count + BLOCK - 1) / BLOCK * BLOCK;
        into.whole &= count == into.count;
        for (int i = count; i < into.count; i++) into.at[i] = into.at[count - 1], into.seen[i] = 0;
        find_active(group, into);
    }

    void find_active(int64_t group, Keys &keys) const {
        const int used = problem.first_query[group + 1] - problem.first_query[group];
        const uint64_t there = used < GROUP ? (uint64_t(1) << used) - 1 : ~uint64_t(0);
        for (int j = 0; j < keys.count; j += BLOCK) {
            uint64_t seen = 0;
            for (int a = 0; a < BLOCK; a++) seen |= keys.seen[j + a];
            seen &= there;
            uint8_t active = 0;
            for (int x = 0; x < GROUP / BLOCK; x++) active |= (seen >> x * BLOCK & 0xff ? 1 : 0) << x;
            keys.active[j / BLOCK] = active;
        }
    }

    int only_valid(Keys &keys, int count) const {
        int kept = 0;
        for (int i = 0; i < count; i++) {
            keys.at[kept] = keys.at[i];
            keys.seen[kept] = keys.seen[i];
            kept += valid[keys.at[i]] != 0;
        }
        return kept;
    }

    // Where rows of a chunk can be read as words, whole vectors of them where a word is a number.
    void read(const T *from, int64_t stride, const Keys &keys, float *packed,
              const float **rows) const {
        const bool fits = sizeof(T) * NUMBERS == sizeof(float) &&
                          problem.width == (NUMBERS == 1 ? padded : words * NUMBERS);
        for (int i = 0; i < keys.count; i++) {
            const T *row = from + keys.at[i] * stride;
            rows[i] = reinterpret_cast<const float *>(row);
            if (fits && reinterpret_cast<uintptr_t>(row) % sizeof(float) == 0) continue;
            copy(row, packed + i * STRIDE);
            rows[i] = packed + i * STRIDE;
        }
    }

    // The same, where a word is of two keys that follow one another.
    void read_pairs(const T *from, int64_t stride, const Keys &keys, float *packed,
                    const float **rows) const {
        for (int i = 0; i < keys.count; i += 2, packed += STRIDE) {
            pair(from + keys.at[i] * stride, from + keys.at[i + 1] * stride, int(problem.width),
                 packed);
            rows[i / 2] = packed;
        }
    }

    // Rows of a chunk that are added up.
    void read_sums(const T *from, int64_t stride, const Keys &keys, Room &room) const {
        const auto how = NUMBERS == 1 ? &Head::read : &Head::read_pairs;
        (this->*how)(from, stride, keys, room.packed[2][0], room.sum_rows);
    }

    // What is wanted of memory soon: keys and values of a chunk, the sums of their gradients, or rows
    // of the queries of a group.
    void fetch(const Keys &keys, Ahead &ahead) const {
        for (int i = 0; i < keys.count; i++) {
            ahead.add(k + keys.at[i] * problem.k.token, problem.width * sizeof(T));
            ahead.add(v + keys.at[i] * problem.v.token, problem.width * sizeof(T));
        }
    }

    void fetch(const Keys &keys, const float *dk, const float *dv, Ahead &ahead) const {
        for (int i = 0; i < keys.count; i++) {
            ahead.add(dk + int64_t(keys.at[i]) * padded, padded * sizeof(float));
            ahead.add(dv + int64_t(keys.at[i]) * padded, padded * sizeof(float));
        }
    }

    void fetch(int64_t group, const T *rows, int64_t stride, Ahead &ahead) const {
        const int64_t first = problem.first_query[group], stop = problem.first_query[group + 1];
        for (int64_t place = first; place < stop; place++)
            ahead.add(rows + query(place) * stride, problem.width * sizeof(T));
    }
};

// The chunks of keys of some groups, one after another; a group without keys has an empty one.
template <class T>
struct Chunks {
    const Head<T> &head;
    int64_t group, end, part;
    int32_t done = 0;

    Chunks(const Head<T> &of, int64_t first, int64_t stop)
        : head(of), group(first), end(stop), part(of.problem.first_part[first]) {}

    bool next(Keys &into) {
        if (group == end) return false;
        into.group = group;
        into.first = part == head.problem.first_part[group] && !done;
        head.next(group, part, done, into);
        into.last = part == head.problem.first_part[group + 1];
        group += into.last;
        return true;
    }
};

// Calls `compute` for each chunk of some groups. Before that, `fetch` is told of the chunk, and of
// the one after it, null for the last.
template <class T, class Fetch, class Compute>
void each_chunk(const Head<T> &head, int64_t first, int64_t stop, Room &room, Fetch fetch,
                Compute compute) {
    Chunks<T> chunks(head, first, stop);
    bool more = chunks.next(room.chunks[0]);
    for (int now = 0; more; now ^= 1) {
        const Keys &keys = room.chunks[now], &later = room.chunks[now ^ 1];
        more = chunks.next(room.chunks[now ^ 1]);
        room.ahead.begin();
        fetch(keys, more ? &later : nullptr);
        compute(keys);
    }
}

// Queries of a group, or gradients of their results, as rows and as columns.
template <class T>
void read_queries(const Head<T> &head, int64_t group, const T *from, int64_t stride, float *rows,
                  float *columns) {
    head.gather(group, from, stride, rows);
    turn(rows, columns, (head.words + LANES - 1) / LANES * LANES);
}

// Where the queries of a group stand for relative scores.
template <class T>
void read_places(const Head<T> &head, int64_t group, Room &room) {
    if (!head.relative) return;
    const int64_t first = head.problem.first_query[group];
    const int used = int(head.problem.first_query[group + 1] - first);
    for (int q = 0; q < GROUP; q++) {
        const int32_t place = q < used ? head.place(head.query(first + q)) : NOWHERE;
        room.places[q] = place < 0 ? NOWHERE : place;
    }
    for (int q = 0; q < GROUP; q += LANES) {
        bool &in_order = room.in_order[q / LANES] = true;
        for (int i = 1; i < LANES; i++) in_order &= room.places[q + i] == room.places[q] + i;
    }
}

// Adds the relative scores of a chunk to its scores, which are in base 2.
template <class T>
void relate(const Head<T> &head, const Keys &keys, Room &room) {
    if (!head.relative) return;
    const int32_t most = int32_t(head.problem.most);
    for (int j = 0; j < keys.count; j++) {
        const int32_t key = head.place(keys.at[j]);
        if (key < 0) continue;
        for (int q = 0; q < GROUP; q += LANES) {
            if (!keys.vector_sees(j, q)) continue;
            Floats added;
            if (!look_up(head.relative, room.places + q, most - key, 2 * most,
                         room.in_order[q / LANES], added))
                continue;
            float *const score = room.scores[j] + q;
            store(score, load(score) + added * all(LOG2_E));
        }
    }
}

// Steps in which a chunk is computed; products: of scores or slopes.
int steps(const Keys &keys, int padded, int products) {
    return products * keys.count / ROWS * GROUP / (2 * LANES) +
           (padded + LANES) / (2 * LANES) * GROUP / ROWS;
}

// Adds rows of a chunk to the sums of a group.
template <class T>
void add_chunk(const Keys &keys, const float *weights, int padded, Room &room) {
    for (int c = 0; c < padded; c += 2 * LANES) {
        const auto add = c + LANES < padded ? add_rows<T, 2> : add_rows<T, 1>;
        const float *const keep = keys.first ? nullptr : room.keep;
        add(keys, room.sum_rows, weights, keep, c, room.sums[0], room.ahead);
    }
}

// Turns the scores of a chunk into words of weights, their largest and their sum kept.
template <class T>
void weigh(const Keys &keys, Room &room) {
    std::copy_n(room.top, GROUP, room.keep);
    hide(room.scores[0], keys, room.top);
    for (int q = 0; q < GROUP; q += LANES) {
        const Floats high = load(room.top + q), keep = power_of_2(load(room.keep + q) - high);
        Floats sums[BLOCK] = {keep * load(room.total + q)};
        for (int j = 0; j < keys.count; j += BLOCK) {
            if (!keys.vector_sees(j, q)) continue;
            Floats weights[BLOCK];
#pragma GCC unroll 8
            for (int a = 0; a < BLOCK; a++) {
                weights[a] = power_of_2(load(room.scores[j + a] + q) - high);
                sums[a] += weights[a];
            }
            constexpr int NUMBERS = Words<T>::NUMBERS;
#pragma GCC unroll 8
            for (int a = 0; a < BLOCK; a += NUMBERS) {
                float *const to = room.scores[(j + a) / NUMBERS] + q;
                store(to, NUMBERS == 1 ? weights[a] : pair(weights[a], weights[a + NUMBERS - 1]));
            }
        }
        for (int a = 1; a < BLOCK; a++) sums[0] += sums[a];
        store(room.total + q, sums[0]);
        store(room.keep + q, keep);
    }
}

template <class T>
void attend(const Head<T> &head, const Keys &keys, T *y, float *total, Room &room) {
    const Problem &p = head.problem;
    if (keys.first) {
        read_queries(head, keys.group, head.q, p.q.token, room.rows[0], room.queries[0]);
        read_places(head, keys.group, room);
        std::fill_n(room.top, GROUP, LOWEST);
        std::fill_n(room.total, GROUP, 0.0f);
    }
    head.read(head.k, p.k.token, keys, room.packed[0][0], room.key_rows);
    head.read_sums(head.v, p.v.token, keys, room);
    multiply<T>(keys, room.key_rows, room.queries[0], head.words, p.scale * LOG2_E,
                room.scores[0], room.ahead);
    relate(head, keys, room);
    weigh<T>(keys, room);
    add_chunk<T>(keys, room.scores[0], head.padded, room);
    if (!keys.last) return;
    for (int q = 0; q < GROUP; q++) room.keep[q] = room.total[q] == 0 ? 0 : 1 / room.total[q];
    head.scatter(keys.group, room.sums[0], room.keep, y, p.y.token);
    const int64_t first = p.first_query[keys.group];
    for (int64_t place = first; place < p.first_query[keys.group + 1]; place++) {
        const float sum = room.total[place - first], top = room.top[place - first];
        total[head.query(place)] = sum == 0 ? 0 : top * LN_2 + std::log(sum);
    }
}

// Fresh memory comes in pages of 4 kB, and each costs as much as the attention of some tokens: ask
// for large ones. x: [batch, token, head, width], side by side.
template <class T>
void prefer_large_pages(const Tensor &x, int64_t batch, int64_t tokens) {
#ifdef MADV_HUGEPAGE
    constexpr uintptr_t PAGE = 2 << 20;
    const uintptr_t begin = reinterpret_cast<uintptr_t>(x.data), size = batch * tokens * x.token;
    const uintptr_t first = (begin + PAGE - 1) / PAGE * PAGE;
    const uintptr_t last = (begin + size * sizeof(T)) / PAGE * PAGE;
    if (first < last) madvise(reinterpret_cast<void *>(first), last - first, MADV_HUGEPAGE);
#endif
}

template <class T>
void attend(const Problem &p) {
    prefer_large_pages<T>(p.y, p.batch, p.queries);
    const int64_t even = p.batch * p.heads * p.groups / (4 * p.threads);
    const int64_t share = std::clamp(even, int64_t(1), int64_t(SHARE));
    const int64_t shares = (p.groups + share - 1) / share;
#pragma omp parallel num_threads(p.threads)
    {
        Room &room = room_of_thread();
#pragma omp for schedule(dynamic)
        for (int64_t item = 0; item < p.batch * p.heads * shares; item++) {
            const int64_t row = item / shares, sample = row / p.heads, of = row % p.heads;
            const Head<T> head(p, sample, of);
            T *const y = Head<T>::at(p.y, sample, of);
            const auto fetch = [&](const Keys &keys, const Keys *later) {
                if (later) head.fetch(*later, room.ahead);
                if (later && later->first)
                    head.fetch(later->group, head.q, p.q.token, room.ahead);
                room.ahead.spread(steps(keys, head.padded, 1));
            };
            const int64_t begin = item % shares * share, end = std::min(begin + share, p.groups);
            each_chunk(head, begin, end, room, fetch, [&](const Keys &keys) {
                attend(head, keys, y, p.total + row * p.queries, room);
            });
        }
        finish_stores();
    }
}

// What the gradients of a head are made of and where they go; those of keys are sums so far.
template <class T>
struct Gradients {
    const T *y, *grad;
    T *dq;
    const float *total;
    float *dk, *dv;
};

// Queries of a group, the gradients of their results, and what these have in common with those.
template <class T>
void read_gradients(const Head<T> &head, int64_t group, const Gradients<T> &of, Room &room) {
    const Problem &p = head.problem;
    const int64_t first = p.first_query[group];
    const int used = int(p.first_query[group + 1] - first);
    const int64_t token = p.grad.token;
    head.gather(group, of.y, p.y.token, room.rows[0]);
    read_queries(head, group, of.grad, token, room.other_rows[0], room.grads[0]);
    for (int q = 0; q < GROUP; q++) {
        Floats sum = {};
        for (int c = 0; c < head.words; c += LANES)
            sum = Words<T>::add_product(sum, load(room.rows[q] + c), load(room.other_rows[q] + c));
        room.delta[q] = sum_of(sum);
        room.top[q] = q < used ? of.total[head.query(first + q)] * LOG2_E : 0;
        room.keep[q] = 1;
    }
    read_queries(head, group, head.q, p.q.token, room.rows[0], room.queries[0]);
    if (Words<T>::NUMBERS == 1) return;
    head.gather_pairs(group, of.grad, token, room.other_rows[0]);
    head.gather_pairs(group, head.q, p.q.token, room.rows[0]);
}

// Turns the scores and slopes of a chunk into weights and their gradients, as words: weights of the
// queries of a key, gradients of the keys of a query and, in `slope_pairs`, of the queries of a key.
template <class T>
void weigh_again(const Keys &keys, int used, Room &room) {
    constexpr int NUMBERS = Words<T>::NUMBERS;
    const uint64_t there = used < GROUP ? (uint64_t(1) << used) - 1 : ~uint64_t(0);
    for (int j = 0; j < keys.count; j += NUMBERS)
        for (int q = 0; q < GROUP; q += LANES) {
            if (!keys.vector_sees(j, q)) continue;
            Floats changes[NUMBERS];
#pragma GCC unroll 2
            for (int a = 0; a < NUMBERS; a++) {
                float *const score = room.scores[j + a] + q;
                const Mask seen = mask((keys.seen[j + a] & there) >> q);
                const Floats weight =
                    only(seen, power_of_2(load(score) - load(room.top + q)));
                const Floats change = load(room.slopes[j + a] + q) - load(room.delta + q);
                changes[a] = only_product(seen, weight, change);
                if (NUMBERS == 1) {
                    store(score, weight);
                    continue;
                }
                store_pairs(room.scores[j + a] + q / 2, weight);
                store_pairs(room.slope_pairs[j + a] + q / 2, changes[a]);
            }
            float *const to = room.slopes[j / NUMBERS] + q;
            store(to, NUMBERS == 1 ? changes[0] : pair(changes[0], changes[NUMBERS - 1]));
        }
}

template <class T>
void differentiate(const Head<T> &head, const Keys &keys, const Gradients<T> &of, Room &room) {
    const Problem &p = head.problem;
    const int padded = head.padded;
    const int used = int(p.first_query[keys.group + 1] - p.first_query[keys.group]);
    if (keys.first) read_gradients(head, keys.group, of, room), read_places(head, keys.group, room);
    head.read(head.k, p.k.token, keys, room.packed[0][0], room.key_rows);
    head.read(head.v, p.v.token, keys, room.packed[1][0], room.value_rows);
    head.read_sums(head.k, p.k.token, keys, room);
    multiply<T>(keys, room.key_rows, room.queries[0], head.words, p.scale * LOG2_E,
                room.scores[0], room.ahead);
    relate(head, keys, room);
    multiply<T>(keys, room.value_rows, room.grads[0], head.words, 1, room.slopes[0], room.ahead);
    weigh_again<T>(keys, used, room);
    add_chunk<T>(keys, room.slopes[0], padded, room);
    float *key_sums[CHUNK], *value_sums[CHUNK];
    for (int j = 0; j < keys.count; j++) {
        key_sums[j] = of.dk + int64_t(keys.at[j]) * padded;
        value_sums[j] = of.dv + int64_t(keys.at[j]) * padded;
    }
    const float *const slopes = Words<T>::NUMBERS == 1 ? room.slopes[0] : room.slope_pairs[0];
    for (int c = 0; c < padded; c += 2 * LANES) {
        const auto add = c + LANES < padded ? add_queries<T, 2> : add_queries<T, 1>;
        add(keys, value_sums, room.scores[0], room.other_rows[0], used, c);
        add(keys, key_sums, slopes, room.rows[0], used, c);
    }
    if (!keys.last) return;
    std::fill_n(room.keep, GROUP, p.scale);
    head.scatter(keys.group, room.sums[0], room.keep, of.dq, p.dq.token);
}

template <class T>
void differentiate(const Problem &p) {
    const int64_t shared = p.heads / p.key_heads, padded = padded_width(p);
    const int64_t numbers = p.keys * padded;
    prefer_large_pages<T>(p.dq, p.batch, p.queries);
    prefer_large_pages<T>(p.dk, p.batch, p.keys);
    prefer_large_pages<T>(p.dv, p.batch, p.keys);
#pragma omp parallel num_threads(p.threads)
    {
        Room &room = room_of_thread();
        float *const dk = p.sums + thread() * 2 * numbers, *const dv = dk + numbers;
#pragma omp for schedule(dynamic)
        for (int64_t item = 0; item < p.batch * p.key_heads; item++) {
            const int64_t sample = item / p.key_heads, key_head = item % p.key_heads;
            std::fill_n(dk, 2 * numbers, 0.0f);
            for (int64_t of = key_head * shared; of < (key_head + 1) * shared; of++) {
                const Head<T> head(p, sample, of);
                const Gradients<T> gradients = {
                    Head<T>::at(p.y, sample, of),
                    Head<T>::at(p.grad, sample, of),
                    Head<T>::at(p.dq, sample, of),
                    p.total + (sample * p.heads + of) * p.queries,
                    dk,
                    dv,
                };
                const auto fetch = [&](const Keys &keys, const Keys *later) {
                    if (later) head.fetch(*later, room.ahead);
                    if (later) head.fetch(*later, dk, dv, room.ahead);
                    if (later && later->first) {
                        head.fetch(later->group, head.q, p.q.token, room.ahead);
                        head.fetch(later->group, gradients.y, p.y.token, room.ahead);
                        head.fetch(later->group, gradients.grad, p.grad.token, room.ahead);
                    }
                    room.ahead.spread(steps(keys, head.padded, 2));
                };
                each_chunk(head, 0, p.groups, room, fetch, [&](const Keys &keys) {
                    differentiate(head, keys, gradients, room);
                });
            }
            T *const to_k = Head<T>::at(p.dk, sample, key_head);
            T *const to_v = Head<T>::at(p.dv, sample, key_head);
            for (int64_t key = 0; key < p.keys; key++) {
                put_row(to_k + key * p.dk.token, dk + key * padded, p.scale, int(p.width));
                put_row(to_v + key * p.dv.token, dv + key * padded, 1, int(p.width));
            }
        }
        finish_stores();
    }
}

}  // namespace

extern "C" void attention_forward(const Problem *p) {
    p->bfloat16 ? attend<BFloat16>(*p) : attend<float>(*p);
}

extern "C" void attention_backward(const Problem *p) {
    p->bfloat16 ? differentiate<BFloat16>(*p) : differentiate<float>(*p);
}
