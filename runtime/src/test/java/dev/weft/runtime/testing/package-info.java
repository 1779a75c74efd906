/** What the tests of several packages share. */
@NullMarked
package dev.weft.runtime.testing;

import org.jspecify.annotations.NullMarked;
