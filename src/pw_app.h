/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_app: loads one application into its instance. On the instance's own
 * thread.
 */
#ifndef PW_APP_H
#define PW_APP_H

#include "pw_instance.h"

/*
 * Imports the script or module and finds the callable; on success
 * instance->callables[slot] holds it. Logs what happened. retry gives the
 * words for the record of a failure: what it means, and what comes next. Not
 * attached. Returns PW_LEASE_OK, PW_LEASE_FAILED or PW_LEASE_CLOSED.
 */
pw_lease_e pw_app_load(pw_instance_t *instance, int slot, const char *retry);

/* Has the application's script changed since its last load began? One stat;
 * 0 for an application without a script. Any thread. */
int pw_app_changed(pw_runtime_t *rt, const pw_app_spec_t *app);

#endif
