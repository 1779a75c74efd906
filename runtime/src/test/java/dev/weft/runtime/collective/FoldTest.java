package dev.weft.runtime.collective;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.op.Rounding;
import dev.weft.engine.program.Literals;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

final class FoldTest {
  /**
   * Every type and folding against the interpreter. Whole numbers in doubles are exact in any
   * order; the order of the tree shows in the doubles.
   */
  @Property(tries = 60)
  void foldsAsTheInterpreterDoes(
      @ForAll DataType dtype,
      @ForAll Folding folding,
      @ForAll @IntRange(min = 1, max = 9) int members,
      @ForAll @IntRange(min = 1, max = 5000) int elements,
      @ForAll long seed) {
    if (dtype == DataType.BOOL && folding == Folding.SUM) {
      return;
    }
    var random = new Random(seed);
    TensorType type = TensorType.of(dtype, elements);
    List<Literal> parts = new ArrayList<>();
    for (int member = 0; member < members; member++) {
      parts.add(numbers(type, random));
    }
    List<List<Literal>> inputs = parts.stream().map(List::of).toList();
    Mesh mesh = Mesh.parse("a=" + members);
    var builder = new Builder("fold");
    var x = builder.input("x", type, Graph.Kind.DATA);
    builder.add(new AllReduce(mesh.axes(), folding), List.of(x)).forEach(builder::output);
    Literal expected = LockStep.run(builder.build(), mesh, inputs).getFirst().getFirst();
    Literal found = fold(type, folding, parts);
    for (int i = 0; i < elements; i++) {
      double wanted = expected.asDouble(i);
      double tolerance = dtype == DataType.F32 ? 1e-6 * members : 0;
      if (dtype.isFloat() && dtype != DataType.F64) {
        wanted = Rounding.round(dtype, wanted);
      }
      assertEquals(wanted, found.asDouble(i), tolerance);
    }
  }

  private static Literal numbers(TensorType type, Random random) {
    int n = Math.toIntExact(type.elements());
    return switch (type.dtype()) {
      case F64 -> Literal.of(type, random.doubles(n, -1, 1).toArray());
      case F32 -> Literal.of(type, random.doubles(n, -1, 1).map(d -> (float) d).toArray());
      // Exact sums in 32 bits, so that only the last rounding counts.
      case BF16, F16 ->
          Literal.of(type, random.ints(n, -128, 128).mapToDouble(i -> i / 64.0).toArray());
      case I32, I64 -> Literal.of(type, random.longs(n, -1000, 1000).toArray());
      case BOOL -> Literal.of(type, random.longs(n, 0, 2).toArray());
    };
  }

  private static Literal fold(TensorType type, Folding folding, List<Literal> parts) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment[] inputs = new MemorySegment[parts.size()];
      for (int i = 0; i < inputs.length; i++) {
        inputs[i] = arena.allocate(type.bytes());
        Literals.write(parts.get(i), inputs[i]);
      }
      MemorySegment[] outputs = {arena.allocate(type.bytes()), arena.allocate(type.bytes())};
      Fold.of(type.dtype(), folding).run(inputs, 0, outputs, 0, type.bytes());
      assertEquals(-1, outputs[0].mismatch(outputs[1]));
      return Literals.read(type, outputs[0]);
    }
  }

  @Test
  void notANumberStaysOne() {
    TensorType type = TensorType.of(DataType.BF16, 2);
    Literal part = Literal.of(type, new double[] {Double.NaN, 1});
    for (Folding folding : Folding.values()) {
      Literal found = fold(type, folding, List.of(Literal.filled(type, 0), part));
      assertEquals(Double.NaN, found.asDouble(0));
    }
  }

  @Test
  void truthValuesHaveNoSum() {
    assertThrows(IllegalArgumentException.class, () -> Fold.of(DataType.BOOL, Folding.SUM));
  }
}
