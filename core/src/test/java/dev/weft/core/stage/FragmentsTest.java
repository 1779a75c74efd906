package dev.weft.core.stage;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.overlap.Level;
import dev.weft.core.overlap.Rows;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.trace.Traced;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.statistics.Statistics;

/** What runs in pieces comes to what one device computes. */
class FragmentsTest {
  static List<Integer> cuts(Graph graph, Random random) {
    int nodes = graph.nodes().size();
    var ends = new ArrayList<Integer>();
    int pieces = 1 + random.nextInt(4);
    for (int i = 1; i < pieces; i++) {
      ends.add(random.nextInt(nodes + 1));
    }
    ends.add(nodes);
    ends.sort(null);
    return ends;
  }

  static Recomputation policy(int number) {
    return switch (number % 4) {
      case 0 -> new Recomputation.None();
      case 1 -> new Recomputation.Full();
      case 2 -> new Recomputation.Fraction(0.5);
      default -> new Recomputation.Budget(400);
    };
  }

  @Property(tries = 150)
  void piecesMakeTheGradientsOfTheWhole(@ForAll long seed) {
    var random = new Random(seed);
    Traced model = RandomModels.trace(seed);
    List<Piece> pieces = HandCut.pieces(model, cuts(model.graph(), random));
    String loss = model.graph().outputValues().getFirst().name();
    int batches = 1 + random.nextInt(3);
    boolean accumulate = batches > 1 || random.nextBoolean();
    var graphs = new ArrayList<PieceGraphs>();
    for (Fragments fragments : Fragments.all(pieces, loss, Mesh.SINGLE, Map.of(), accumulate)) {
      graphs.add(
          fragments.graphs(policy(random.nextInt(4)), random.nextBoolean(), n -> n.cost().flops()));
    }
    List<Map<String, Literal>> data = PieceRun.batches(model.graph(), batches, seed);
    PieceRun.assertSame(
        PieceRun.oneDevice(model, data),
        PieceRun.pieces(model, graphs, data, accumulate && random.nextBoolean()));
  }

  @Property(tries = 30)
  void onMeshesToo(@ForAll long seed) {
    checkOnMesh(seed);
  }

  @Property(tries = 400)
  @Tag("nightly")
  void onMeshesMoreOften(@ForAll long seed) {
    checkOnMesh(seed);
  }

  private static void checkOnMesh(long seed) {
    var random = new Random(seed);
    Traced model = RandomModels.trace(seed, true);
    List<Piece> pieces = HandCut.pieces(model, cuts(model.graph(), random));
    String loss = model.graph().outputValues().getFirst().name();
    Mesh mesh = Mesh.parse(List.of("data=2", "model=2", "data=2,model=2").get(random.nextInt(3)));
    int batches = 1 + random.nextInt(2);
    boolean accumulate = batches > 1 || random.nextBoolean();
    Level level = Level.values()[random.nextInt(4)];
    Rows rows = Cotangents.of(pieces, loss).rows(pieces, Rows.of(model.graph()));
    var graphs = new ArrayList<PieceGraphs>();
    for (Fragments whole : Fragments.all(pieces, loss, mesh, Map.of(), accumulate)) {
      Fragments fragments = whole.inHalves(level, rows);
      Statistics.collect(level, fragments == whole ? "as it was" : "in halves");
      graphs.add(
          fragments.graphs(policy(random.nextInt(4)), random.nextBoolean(), n -> n.cost().flops()));
    }
    List<Map<String, Literal>> data = PieceRun.batches(model.graph(), batches, seed);
    PieceRun.assertSame(
        PieceRun.oneDevice(model, data),
        PieceRun.pieces(model, graphs, data, accumulate && random.nextBoolean()));
  }
}
