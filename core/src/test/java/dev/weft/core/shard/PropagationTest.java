package dev.weft.core.shard;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Spec;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Shard;
import dev.weft.core.op.Tensor;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PropagationTest {
  private static final Mesh MESH = Mesh.parse("x=2,y=2");
  private static final TensorType TYPE = TensorType.of(DataType.F64, 4, 4);

  /** The first annotation that names a dim or an axis holds for the input itself. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "[{y},{}];  [?,{x,y}]; [{y},{}]",
        "[{y},?];   [?,{x}];   [{y},{x}]",
        "[{},?];    [{x},{y}]; [{},{y}]",
        "[{x,y},?]; [{y},{x}]; [{x,y},{}]",
      })
  void annotationsOfOneInputThatDiffer(String first, String second, String expected) {
    var builder = new Builder("twice");
    Value input = builder.input("input", TYPE, Graph.Kind.DATA);
    for (String spec : List.of(first, second)) {
      Tensor marked = Tensor.one(new Shard(Spec.parse(spec)), new Tensor(builder, input));
      builder.output(marked.value());
    }
    Graph graph = builder.build();
    Spec found = Propagation.propagate(graph, MESH, Map.of()).spec(input);
    assertEquals(Spec.parse(expected), found);
    double[] numbers = new double[16];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = i;
    }
    LockStepCheck.check(graph, MESH, List.of(Literal.of(TYPE, numbers)), 0);
  }
}
