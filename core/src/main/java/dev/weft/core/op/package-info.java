/** The ops, one file each, and what they are made with. */
@NullMarked
package dev.weft.core.op;

import org.jspecify.annotations.NullMarked;
