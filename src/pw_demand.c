/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_demand: a table that only grows. Readers follow its chains without a
 * lock; whoever adds holds demand.lock and publishes an entry when it is
 * whole.
 */
#include "pw_demand.h"

#include <string.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include "pw_instance.h"

struct pw_demand_entry_t {
    struct pw_demand_entry_t *next; /* const: */
    const char *key;                /* const: */
    pw_app_spec_t app;              /* const: */
};

static pw_demand_entry_t **chain(pw_demand_t *d, const char *key)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;

    return &d->chains[apr_hashfunc_default(key, &len) % PW_DEMAND_CHAINS];
}

static const pw_app_spec_t *find(pw_demand_t *d, const char *key)
{
    pw_demand_entry_t *e = __atomic_load_n(chain(d, key), __ATOMIC_ACQUIRE);

    while (e && strcmp(e->key, key) != 0) {
        e = e->next;
    }
    return e ? &e->app : NULL;
}

/* ---- interpreters ------------------------------------------------------ */

static pw_interp_spec_t *own_named_locked(pw_runtime_t *rt, const char *name)
    PW_REQUIRES(rt->demand.lock)
{
    pw_demand_t *d = &rt->demand;

    pw_lock_assert(&d->lock);
    for (int i = 0; i < d->interps; i++) {
        if (!strcmp(d->own[i]->name, name)) {
            return d->own[i];
        }
    }
    return NULL;
}

/* One that is idle, by its place in the list, and since when. */
typedef struct idle_t {
    int place;
    pw_instant_t since;
} idle_t;

static int is_before(const idle_t *a, const idle_t *b)
{
    return a->since < b->since || (a->since == b->since && a->place < b->place);
}

/* The one that is idle longest of those that come behind the last one; its
 * place is -1 where there is none. */
static idle_t next_idle_locked(pw_runtime_t *rt, const idle_t *last)
    PW_REQUIRES(rt->demand.lock)
{
    pw_demand_t *d = &rt->demand;
    idle_t next = {.place = -1, .since = PW_NEVER};
    pw_pool_look_t look;

    pw_lock_assert(&d->lock);
    for (int i = 0; i < d->interps; i++) {
        idle_t one = {.place = i};

        pw_pool_look(rt->pools[d->own[i]->index], &look);
        one.since = look.used;
        if (look.members > 0 && look.members == look.serving
            && look.running + look.waiting == 0 && is_before(last, &one)
            && is_before(&one, &next)) {
            next = one;
        }
    }
    return next;
}

/* Unloads the one that is idle longest of those that may end. 0; -1: there is
 * none. */
static int unload_idlest_locked(pw_runtime_t *rt, const char *name)
    PW_REQUIRES(rt->demand.lock)
{
    idle_t idle = {.place = -1, .since = -1};
    pw_interp_spec_t *spec;

    pw_lock_assert(&rt->demand.lock);
    do {
        idle = next_idle_locked(rt, &idle);
        if (idle.place < 0) {
            return -1;
        }
        spec = rt->demand.own[idle.place];
    } while (!pw_pool_unload(rt->pools[spec->index]));
    pw_log(&spec->log, PW_LOG_INFO,
           "PW0125 %s: no request in %d s, and WSGIInterpreterLimit %d is "
           "reached: it is unloaded to make room for %s",
           spec->name, (int)((pw_now() - idle.since) / APR_USEC_PER_SEC),
           rt->map->found_max, name);
    return 0;
}

static apr_status_t make_room_locked(pw_runtime_t *rt, const char *name)
    PW_REQUIRES(rt->demand.lock)
{
    pw_demand_t *d = &rt->demand;
    pw_pool_look_t look;
    int live = 0;

    pw_lock_assert(&d->lock);
    for (int i = 0; i < d->interps; i++) {
        pw_pool_look(rt->pools[d->own[i]->index], &look);
        live += look.members > 0;
    }
    if (live < rt->map->found_max) {
        return APR_SUCCESS;
    }
    return unload_idlest_locked(rt, name) < 0 ? APR_ENOSPC : APR_SUCCESS;
}

apr_status_t pw_demand_spawn(pw_runtime_t *rt, const pw_interp_spec_t *spec)
{
    apr_status_t rv;

    if (spec->index < rt->map->interps->nelts) {
        return pw_runtime_spawn(rt, spec, 1, NULL);
    }
    /* Held until it is counted: others make room for themselves. */
    pw_lock_take(&rt->demand.lock);
    rv = make_room_locked(rt, spec->name);
    if (rv == APR_SUCCESS) {
        rv = pw_runtime_spawn(rt, spec, 1, NULL);
    }
    else {
        pw_pool_forgo(rt->pools[spec->index]);
    }
    pw_lock_release(&rt->demand.lock);
    return rv;
}

/* Its first lease starts it, for its first request may not come that far. */
static apr_status_t make_own_locked(pw_runtime_t *rt, const char *name,
                                    const pw_interp_spec_t **made)
    PW_REQUIRES(rt->demand.lock)
{
    pw_demand_t *d = &rt->demand;
    pw_interp_spec_t *spec;

    pw_lock_assert(&d->lock);
    if (d->interps >= rt->map->found_names) {
        return APR_ENOSPC;
    }
    spec = apr_pmemdup(d->pool, rt->map->own, sizeof(*spec));
    spec->index = rt->map->interps->nelts + d->interps;
    spec->name = apr_pstrdup(d->pool, name);
    spec->apps = apr_array_make(d->pool, 1, sizeof(pw_app_spec_t *));
    pw_runtime_add_pool(rt, spec, d->pool);
    pw_runtime_count(rt, spec);
    d->own[d->interps] = spec;
    __atomic_store_n(&d->interps, d->interps + 1, __ATOMIC_RELEASE);
    *made = spec;
    return APR_SUCCESS;
}

static apr_status_t interp_locked(pw_runtime_t *rt, const pw_found_t *found,
                                  const pw_interp_spec_t **spec)
    PW_REQUIRES(rt->demand.lock)
{
    *spec = found->interp ? found->interp : own_named_locked(rt, found->name);
    return *spec ? APR_SUCCESS : make_own_locked(rt, found->name, spec);
}

/* ---- applications ------------------------------------------------------ */

static apr_status_t add_locked(pw_runtime_t *rt, const pw_found_t *found,
                               const pw_interp_spec_t *spec, const char *key,
                               const pw_app_spec_t **app)
    PW_REQUIRES(rt->demand.lock)
{
    pw_demand_t *d = &rt->demand;
    pw_demand_entry_t **head = chain(d, key);
    int *count = &d->counts[spec->index];
    pw_demand_entry_t *e;

    pw_lock_assert(&d->lock);
    if (*count >= pw_runtime_slots(rt, spec) - spec->apps->nelts) {
        return APR_ENOSPC;
    }
    e = apr_pcalloc(d->pool, sizeof(*e));
    e->key = apr_pstrdup(d->pool, key);
    e->app.script = apr_pstrdup(d->pool, found->script);
    e->app.callable = apr_pstrdup(d->pool, found->callable);
    e->app.slot = spec->apps->nelts + *count;
    e->app.lazy = 1;
    e->app.log = found->log;
    e->app.interp = (pw_interp_spec_t *)spec;
    e->app.label = found->interp ? apr_pstrcat(d->pool, spec->name, " (",
                                               found->script, ")", NULL)
                                 : spec->name;
    d->found[spec->index][*count] = &e->app;
    (*count)++;
    e->next = *head;
    __atomic_store_n(head, e, __ATOMIC_RELEASE);
    *app = &e->app;
    return APR_SUCCESS;
}

apr_status_t pw_demand_app(pw_runtime_t *rt, const pw_found_t *found,
                           const pw_app_spec_t **app)
{
    pw_demand_t *d = &rt->demand;
    const char *name = found->interp ? found->interp->name : found->name;
    const char *key = apr_pstrcat(found->rpool, name, "\n", found->script, "\n",
                                  found->callable, NULL);
    const pw_interp_spec_t *spec;
    apr_status_t rv = APR_SUCCESS;

    *app = find(d, key);
    if (*app) {
        return APR_SUCCESS;
    }
    pw_lock_take(&rt->demand.lock);
    *app = find(d, key);
    if (!*app) {
        rv = d->stopping ? APR_EGENERAL : interp_locked(rt, found, &spec);
        if (rv == APR_SUCCESS) {
            rv = add_locked(rt, found, spec, key, app);
        }
    }
    pw_lock_release(&rt->demand.lock);
    return rv;
}

/* ---- for the runtime --------------------------------------------------- */

void pw_demand_init(pw_runtime_t *rt, apr_pool_t *cpool)
{
    pw_demand_t *d = &rt->demand;
    size_t all = (size_t)(rt->map->interps->nelts + rt->map->found_names) + 1;

    pw_lock_init(&d->lock);
    apr_pool_create(&d->pool, cpool);
    apr_pool_tag(d->pool, "polywsgi_demand");
    d->own = apr_pcalloc(cpool,
                         sizeof(*d->own) * (size_t)(rt->map->found_names + 1));
    d->counts = apr_pcalloc(cpool, sizeof(*d->counts) * all);
    d->found = apr_pcalloc(cpool, sizeof(*d->found) * all);
}

void pw_demand_stop(pw_runtime_t *rt)
{
    pw_lock_take(&rt->demand.lock);
    rt->demand.stopping = 1;
    pw_lock_release(&rt->demand.lock);
}
