/**
 * libtorch through its stable C ABI: finding it, loading it, calling it, owning what it hands out.
 */
@NullMarked
package dev.weft.engine.library;

import org.jspecify.annotations.NullMarked;
