/*
 * Remove waves and ship wash from the raw water level.
 *
 * The radar sensor delivers four readings a second. A median over one minute throws out single
 * spikes, such as a gull that sits under the antenna, and does not blur the tide as a mean would.
 */
#include <stdlib.h>
#include <string.h>

#define WINDOW 240

struct level_filter {
    double reading[WINDOW];
    int next;
    int filled;
};

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Add one reading in metres and return the median of the last minute. */
double level_filter_add(struct level_filter *filter, double metres)
{
    double sorted[WINDOW];

    filter->reading[filter->next] = metres;
    filter->next = (filter->next + 1) % WINDOW;
    if (filter->filled < WINDOW)
        filter->filled++;
    memcpy(sorted, filter->reading, sizeof(double) * (size_t)filter->filled);
    qsort(sorted, (size_t)filter->filled, sizeof(double), by_size);
    return sorted[filter->filled / 2];
}
