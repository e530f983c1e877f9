/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_ghost: an allocator that keeps one block where it is told to, and the list
 * of what it has kept, by OS thread.
 */
#include "pw_ghost.h"

#include <stdlib.h>

#include "pw_instance.h"
#include "pw_pyversion.h"

/* ---- the allocator ----------------------------------------------------- */

/*
 * Not by the context that CPython hands on: where it puts its default allocator
 * in place for a moment, another thread may read the function of the one and
 * the context of the other.
 */
static pw_ghosts_t *installed; /* const: set once in a child */

static void *raw_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return installed->raw.malloc(installed->raw.ctx, size);
}

static void *raw_calloc(void *ctx, size_t count, size_t size)
{
    (void)ctx;
    return installed->raw.calloc(installed->raw.ctx, count, size);
}

static void *raw_realloc(void *ctx, void *block, size_t size)
{
    (void)ctx;
    return installed->raw.realloc(installed->raw.ctx, block, size);
}

static void raw_free(void *ctx, void *block)
{
    pw_ghosts_t *g = installed;

    (void)ctx;
    if (block && block == __atomic_load_n(&g->deleting, __ATOMIC_RELAXED)) {
        __atomic_store_n(&g->deleting, NULL, __ATOMIC_RELAXED);
        return;
    }
    g->raw.free(g->raw.ctx, block);
}

void pw_ghost_start(pw_ghosts_t *g, const pw_log_t *log)
{
    PyMemAllocatorEx ours = {.malloc = raw_malloc,
                             .calloc = raw_calloc,
                             .realloc = raw_realloc,
                             .free = raw_free};

    g->log = log;
    installed = g;
    /* CPython calls these functions until the process is gone; httpd unloads
     * its modules before that, also in a child. */
    pw_pyversion_pin((const void *)raw_free);
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &g->raw);
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &ours);
}

/* ---- ghosts ------------------------------------------------------------ */

void pw_ghost_enlist(pw_ghosts_t *g, pw_thread_t *thread)
{
    pw_lock_take(&g->lock);
    thread->next = g->threads;
    g->threads = thread;
    pw_lock_release(&g->lock);
}

void pw_ghost_leave(pw_ghosts_t *g, pw_thread_t *thread)
{
    pw_thread_t **p = &g->threads;

    pw_lock_take(&g->lock);
    while (*p != thread) {
        p = &(*p)->next;
    }
    *p = thread->next;
    pw_lock_release(&g->lock);
    pw_ghost_bury(g, thread);
}

static pw_thread_t *find_locked(pw_ghosts_t *g, apr_uint64_t serial)
{
    pw_thread_t *thread = g->threads;

    pw_lock_assert(&g->lock);
    while (thread && thread->serial != serial) {
        thread = thread->next;
    }
    return thread;
}

/* What puts something before each block hides the state from raw_free. */
static void say_once(pw_ghosts_t *g)
{
    int said = g->said;

    pw_lock_assert(&g->lock);
    g->said = 1;
    if (!said) {
        pw_log(g->log, PW_LOG_ERR,
               "PW0113 polywsgi: something stands before CPython's raw memory "
               "allocator (PyMem_SetupDebugHooks, a memory profiler): each "
               "interpreter that ends may damage this process from now on. "
               "Mend: leave it out, or WSGIMaxRequests, WSGIIdleTimeout and "
               "WSGIThreadStates");
    }
}

/*
 * Our own clearing of bound_gilstate, and what PyThreadState_Delete writes to
 * the same byte, may meet the owner's: all of them leave that bit cleared, and
 * nothing but an assertion of a debug build reads what else may be lost.
 */
void pw_ghost_delete(pw_ghosts_t *g, pw_tstate_t *entry)
{
    pw_thread_t *owner;

    pw_lock_take(&g->lock);
    owner = find_locked(g, entry->serial);
    __atomic_store_n(&g->deleting, owner ? entry->ts : NULL, __ATOMIC_RELAXED);
    pw_py_unbind(entry->ts);
    PyThreadState_Delete(entry->ts);
    if (__atomic_load_n(&g->deleting, __ATOMIC_RELAXED)) {
        say_once(g);
    }
    else if (owner) {
        entry->next = owner->ghosts;
        __atomic_store_n(&owner->ghosts, entry, __ATOMIC_RELAXED);
        entry = NULL;
    }
    __atomic_store_n(&g->deleting, NULL, __ATOMIC_RELAXED);
    pw_lock_release(&g->lock);
    free(entry);
}

void pw_ghost_bury(pw_ghosts_t *g, pw_thread_t *thread)
{
    pw_tstate_t *ghost, *next;

    pw_lock_take(&g->lock);
    ghost = thread->ghosts;
    __atomic_store_n(&thread->ghosts, NULL, __ATOMIC_RELAXED);
    pw_lock_release(&g->lock);
    for (; ghost; ghost = next) {
        next = ghost->next;
        g->raw.free(g->raw.ctx, ghost->ts);
        free(ghost);
    }
}
