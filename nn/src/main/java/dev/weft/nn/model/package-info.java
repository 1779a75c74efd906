/** Models. */
@NullMarked
package dev.weft.nn.model;

import org.jspecify.annotations.NullMarked;
