/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_ready: asks each pool for its slots.
 */
#include "pw_ready.h"

#include "pw_instance.h"

typedef struct slot_look_t {
    int slot;
    int loaded, failed, coming;
} slot_look_t;

/* With pool.lock. One member that serves it is enough. */
static void look_at_slot(void *look, const pw_member_t *m)
{
    slot_look_t *l = look;
    pw_slot_e slot = (pw_slot_e)m->slots[l->slot];

    if (m->retire || m->state == PW_DRAINING || m->state >= PW_PARKED) {
        l->failed |= m->state == PW_BROKEN;
        return;
    }
    l->loaded |= slot == PW_SLOT_LOADED && !m->trial;
    l->failed |= slot == PW_SLOT_FAILED;
    l->coming |= slot == PW_SLOT_WANTED || slot == PW_SLOT_LOADING;
}

static const char *state_of(pw_pool_t *pool, int slot)
{
    slot_look_t look = {.slot = slot};

    pw_pool_each(pool, look_at_slot, &look);
    if (look.loaded) {
        return "loaded";
    }
    if (look.coming) {
        return "loading";
    }
    return look.failed ? "failed" : "idle";
}

static void show_app(pw_text_t *to, const pw_app_spec_t *app, const char *state,
                     int *count)
{
    pw_text_add(to, (*count)++ > 0 ? ",{" : "{");
    pw_text_add(to, "\"interpreter\":");
    pw_text_json(to, app->interp->name);
    pw_text_add(to, ",\"application\":");
    pw_text_json(to, app->label);
    pw_text_addf(to, ",\"state\":\"%s\"}", state);
}

static void show_interp(pw_runtime_t *rt, const pw_interp_spec_t *spec,
                        pw_text_t *to, int *count)
{
    for (int slot = 0; slot < spec->apps->nelts; slot++) {
        show_app(to, pw_runtime_app(rt, spec, slot),
                 state_of(rt->pools[spec->index], slot), count);
    }
}

void pw_ready_show(pw_runtime_t *rt, pw_text_t *to)
{
    int count = 0;

    pw_text_add(to, "[");
    for (int i = 0; i < rt->map->interps->nelts; i++) {
        show_interp(
            rt, APR_ARRAY_IDX(rt->map->interps, i, const pw_interp_spec_t *),
            to, &count);
    }
    pw_text_add(to, "]");
}
