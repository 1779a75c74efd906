/** Programs to partition, with what another partitioner makes of them. */
@NullMarked
package dev.weft.core.programs;

import org.jspecify.annotations.NullMarked;
