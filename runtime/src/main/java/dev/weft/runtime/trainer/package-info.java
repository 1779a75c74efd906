/** Training, evaluation and generation on a device. */
@NullMarked
package dev.weft.runtime.trainer;

import org.jspecify.annotations.NullMarked;
