/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_life: the own thread of an instance, from its birth to its end. It is the
 * only thread that creates, loads, reaps and ends that instance, so that none
 * of this ever waits for, or in, a request.
 */
#ifndef PW_LIFE_H
#define PW_LIFE_H

#include "pw_instance.h"

/* The thread's function; the argument is the pw_instance_t *. */
void *pw_life_main(void *instance);

#endif
