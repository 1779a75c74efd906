package dev.weft.core.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

class StridedTest {
  /** Where each element lies, in row-major order. */
  private static List<Long> positions(Strided layout) {
    var positions = new ArrayList<Long>();
    for (long i = 0; i < layout.shape().elements(); i++) {
      long position = layout.offset();
      long rest = i;
      for (int dim = layout.shape().rank() - 1; dim >= 0; dim--) {
        position += rest % layout.shape().size(dim) * layout.strides()[dim];
        rest /= layout.shape().size(dim);
      }
      positions.add(position);
    }
    return positions;
  }

  /** Whether some strides show these positions in the shape: the ones each dim's neighbour says. */
  private static boolean expressible(List<Long> positions, Shape shape) {
    long[] strides = new long[shape.rank()];
    long[] dense = shape.strides();
    for (int dim = 0; dim < strides.length; dim++) {
      if (shape.size(dim) > 1) {
        strides[dim] = positions.get((int) dense[dim]) - positions.getFirst();
      }
    }
    return positions(new Strided(shape, strides, positions.getFirst())).equals(positions);
  }

  @Property(tries = 5000)
  void reshapeNeedsACopyExactlyWhereNoStridesWillDo(@ForAll long seed) {
    var random = new Random(seed);
    Strided layout = layout(random);
    Shape target = regrouped(random, layout.shape().elements());
    Optional<Strided> view = layout.reshape(target);
    if (view.isPresent()) {
      assertEquals(target, view.get().shape());
      assertEquals(positions(layout), positions(view.get()));
    } else {
      assertFalse(expressible(positions(layout), target), layout + " as " + target);
    }
  }

  /** A dense tensor with its dims permuted, repeated, or cut. */
  private static Strided layout(Random random) {
    int rank = random.nextInt(5);
    long[] sizes = new long[rank];
    for (int i = 0; i < rank; i++) {
      sizes[i] = 1 + random.nextInt(4);
    }
    long[] outer = sizes.clone();
    for (int i = 0; i < rank; i++) {
      outer[i] += random.nextInt(4) == 0 ? 1 : 0;
    }
    long[] strides = Shape.of(outer).strides();
    for (int i = 0; i < rank; i++) {
      if (random.nextInt(6) == 0) {
        strides[i] = 0;
      }
    }
    var order = new ArrayList<Integer>();
    for (int i = 0; i < rank; i++) {
      order.add(i);
    }
    if (random.nextBoolean()) {
      Collections.shuffle(order, random);
    }
    return new Strided(
        Shape.of(order.stream().mapToLong(i -> sizes[i]).toArray()),
        order.stream().mapToLong(i -> strides[i]).toArray(),
        random.nextInt(3));
  }

  /** Some shape with so many elements. */
  private static Shape regrouped(Random random, long elements) {
    var sizes = new ArrayList<Long>();
    long rest = elements;
    while (rest > 1 || random.nextInt(4) == 0) {
      long size = 1 + random.nextInt((int) rest);
      while (rest % size != 0) {
        size--;
      }
      sizes.add(size);
      rest /= size;
    }
    return Shape.of(sizes.stream().mapToLong(Long::longValue).toArray());
  }

  @Example
  void denseIsContiguousAndTransposedIsNot() {
    assertTrue(Strided.dense(Shape.of(2, 3)).isContiguous());
    assertTrue(new Strided(Shape.of(1, 3), new long[] {7, 1}, 4).isContiguous());
    assertFalse(new Strided(Shape.of(3, 2), new long[] {1, 3}, 0).isContiguous());
    assertTrue(new Strided(Shape.of(0, 2), new long[] {1, 3}, 0).isContiguous());
  }

  @Example
  void reshapeKeepsTheNumberOfElements() {
    assertThrows(ShapeException.class, () -> Strided.dense(Shape.of(2, 3)).reshape(Shape.of(7)));
    assertEquals(
        Optional.of(Strided.dense(Shape.of(3, 0))),
        Strided.dense(Shape.of(0, 2)).reshape(Shape.of(3, 0)));
  }
}
