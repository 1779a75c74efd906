package dev.weft.core.op;

import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import java.util.List;

/** An op with a meaning of its own in plain Java: doubles for floats, longs for the rest. */
public interface Primitive extends Op, Differentiable {
  /** The outputs for the given inputs. Floats are not rounded to their type but by casts. */
  List<Literal> reference(List<Literal> inputs);
}
