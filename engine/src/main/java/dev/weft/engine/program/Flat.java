package dev.weft.engine.program;

import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import org.jspecify.annotations.Nullable;

/**
 * A value of a flattened graph. One that is a view knows its base and how it lies in it; a base
 * knows where it is placed.
 */
final class Flat {
  final String name;
  final TensorType type;
  final Flat base;
  final Strided layout;

  /** Of a base: the numbers, where they are known when the program is loaded. */
  @Nullable Literal literal;

  /** Of a base: where it lies, from {@code place}'s offset on. */
  @Nullable Operand place;

  /** Of a base: the part of a stack in which it is made in the first place. */
  @Nullable Flat alias;

  /** Of a base: the item that makes it; -1 for what is there from the start. */
  int made = -1;

  /** Of a base: the last item that reads it or a view of it. */
  int lastRead = -1;

  /** Of a base: how many items read it or a view of it. */
  int reads;

  private Flat(String name, TensorType type, @Nullable Flat base, Strided layout) {
    this.name = name;
    this.type = type;
    this.base = base == null ? this : base;
    this.layout = layout;
  }

  static Flat of(String name, TensorType type) {
    return of(name, type, Strided.dense(type.shape()));
  }

  /** A base whose elements lie in another order, without gaps. */
  static Flat of(String name, TensorType type, Strided layout) {
    return new Flat(name, type, null, layout);
  }

  static Flat view(String name, TensorType type, Flat of, Strided layout) {
    return new Flat(name, type, of.base, layout);
  }

  boolean isView() {
    return base != this;
  }

  /** The base that this value's memory belongs to. */
  Flat root() {
    return base.alias == null ? base : base.alias.root();
  }

  /** Where the first element of the base lies in the root, in elements. */
  private long shift() {
    return base.alias == null ? 0 : base.alias.layout.offset() + base.alias.shift();
  }

  /** Where this value lies, its root having been placed. */
  Operand operand() {
    Flat root = root();
    Operand whole =
        java.util.Objects.requireNonNull(root.place, () -> root.name + " is not placed");
    return new Operand(
        whole.buffer(),
        type.dtype(),
        new Strided(
            layout.shape(), layout.strides(), layout.offset() + shift() + whole.layout().offset()));
  }

  /** Whether this value is all of its root, element by element. */
  boolean isAllOfRoot() {
    return base.alias == null
        && layout.offset() == 0
        && layout.isContiguous()
        && type.elements() == base.type.elements();
  }

  /** The first and one behind the last element of the root that this value may touch. */
  long[] range() {
    long first = layout.offset() + shift();
    long last = first;
    for (int dim = 0; dim < layout.shape().rank(); dim++) {
      if (layout.shape().size(dim) == 0) {
        return new long[] {first, first};
      }
      last += layout.strides()[dim] * (layout.shape().size(dim) - 1);
    }
    return new long[] {first, last + 1};
  }

  @Override
  public String toString() {
    return "%" + name + ": " + type;
  }
}
