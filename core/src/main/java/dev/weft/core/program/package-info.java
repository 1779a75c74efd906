/**
 * What a training step does on devices: a {@link dev.weft.core.program.Program} is, for each stage,
 * fragments (graphs), the memory that they work on, and the steps that run them on micro-batches.
 *
 * <p>A model is cut into <em>pieces</em>: piece {@code chunk * stages + stage} lies on that stage.
 * Names connect: a value named {@code h} that one piece makes and another takes is sent; the
 * cotangent of {@code h} that piece 3 computes is named {@code h.grad.3} and sent back to the piece
 * that made {@code h}.
 */
@NullMarked
package dev.weft.core.program;

import org.jspecify.annotations.NullMarked;
