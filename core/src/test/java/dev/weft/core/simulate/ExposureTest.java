package dev.weft.core.simulate;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Tensor;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Two devices that move 100 bytes per second, and send 10 to each other meanwhile. */
final class ExposureTest {
  private static final Mesh MESH = Mesh.parse("data=2");
  private static final double CALL = 0.5;

  /** Of 24 elements. */
  private static final double EXP = CALL + 2 * 96 / 100.0;

  private static final double COPIED = CALL + 2 * 96 / 100.0;
  private static final double ADDED = CALL + 3 * 96 / 100.0;
  private static final double SENT = 96 / 10.0;

  private final Builder builder = new Builder("g");

  private Tensor input(String name, long... sizes) {
    return new Tensor(
        builder, builder.input(name, TensorType.of(DataType.F32, sizes), Graph.Kind.DATA));
  }

  private static Tensor summed(Tensor x) {
    return Tensor.one(new AllReduce(MESH.axes(), Folding.SUM), x);
  }

  private CostModel.Duration duration(Tensor... results) {
    for (Tensor result : results) {
      builder.output(result.value());
    }
    var device = new DeviceProfile(new Bytes(1 << 30), Map.of("f32", 10.0), 100, CALL, Map.of());
    var link = new Link(0, 10);
    var costs = new ClusterCosts(new Cluster("two", 1, 2, device, link, link, true), 2);
    return Exposure.of(builder.build(), MESH, costs, 0);
  }

  private static void checkSpans(List<CostModel.Span> found, double... times) {
    assertEquals(times.length, 2 * found.size(), found::toString);
    for (int i = 0; i < found.size(); i++) {
      assertEquals(times[2 * i], found.get(i).start(), 1e-9, found::toString);
      assertEquals(times[2 * i + 1], found.get(i).end(), 1e-9, found::toString);
    }
  }

  /** The device copies, then computes beside the links, then waits. */
  @Test
  void whatIsSentIsLaidDenseFirst() {
    Tensor turned = input("x", 4, 6).exp().transpose(List.of(1, 0));
    Tensor sum = summed(turned);
    Tensor beside = input("y", 4, 6).exp();
    CostModel.Duration found = duration(beside, sum.exp());
    double begun = EXP + COPIED;
    checkSpans(found.collectives(), begun, begun + SENT);
    checkSpans(found.waits(), begun + EXP, begun + SENT);
    assertEquals(begun + SENT + EXP, found.time(), 1e-9);
  }

  /** A product begins before that has come which it is added to; the sum is a call of its own. */
  @Test
  void aProductRunsBesideWhatItIsAddedTo() {
    Tensor sum = summed(input("s", 4, 6).exp());
    Tensor product = input("x", 4, 5).matmul(input("w", 5, 6));
    double made = CALL + 2 * 4 * 5 * 6 / 10.0;
    CostModel.Duration found = duration(sum.plus(product).exp());
    assertEquals(EXP + Math.max(made, SENT) + ADDED + EXP, found.time(), 1e-9);
    checkSpans(found.collectives(), EXP, EXP + SENT);
    assertEquals(0, found.communication(), 1e-9);
  }

  /** A view awaits nothing: who reads it does. */
  @Test
  void whatReadsAViewAwaitsWhatItShows() {
    Tensor view = summed(input("s", 4, 6)).transpose(List.of(1, 0));
    Tensor beside = input("y", 4, 6).exp();
    CostModel.Duration found = duration(beside, view.exp());
    checkSpans(found.waits(), EXP, SENT);
    assertEquals(SENT + EXP, found.time(), 1e-9);
  }
}
