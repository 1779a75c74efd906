/** Tests that walk the table of ops: a new op is tested without a new test. */
@NullMarked
package dev.weft.core.conformance;

import org.jspecify.annotations.NullMarked;
