/* SPDX-License-Identifier: Apache-2.0
 *
 * sanitizer: the options of every unit test that is built with one, so that it
 * behaves alike however it is started. What CPython keeps until the end of the
 * process is no leak of ours. Without a sanitizer nobody calls these.
 */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);

const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}

const char *__tsan_default_options(void)
{
    return "history_size=4";
}

/* As in t/tsan.supp, which says why. */
const char *__tsan_default_suppressions(void)
{
    return "race:pw_interp_foreign_threads";
}
