/** What devices did when, for people and viewers: the same for runs and for simulations. */
@NullMarked
package dev.weft.runtime.trace;

import org.jspecify.annotations.NullMarked;
