/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_hooks: calls what applications have registered by polywsgi.on_start,
 * polywsgi.on_stop and mod_wsgi.subscribe_shutdown (src/py/hooks.py), and
 * writes a record where one fails. Only on the instance's own thread.
 */
#ifndef PW_HOOKS_H
#define PW_HOOKS_H

#include "pw_interp.h"

/* After a load that succeeded, before requests are given to the application:
 * the hooks of its start, the first registered first. Attached. */
void pw_hooks_start(pw_attached_t *at, const pw_app_spec_t *app);

/*
 * Before threads and atexit handlers are dealt with: the subscriptions in their
 * order, then the hooks of on_stop, the last registered first. Each has a
 * thread of its own and an equal share of the seconds that are left. reason:
 * one of mod_wsgi's words for shutdown_reason. Attached.
 */
void pw_hooks_stop(pw_attached_t *at, double seconds, const char *reason);

#endif
