package dev.weft.core.schedule;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.program.Order;
import dev.weft.core.program.Program;
import dev.weft.core.program.ProgramInterpreter;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;

/** Programs of hand-made pieces in random orders, and whether they give what they should. */
record RandomPrograms(HandMade pieces, Order order, Program program) {
  static RandomPrograms of(long seed) {
    var random = new Random(seed);
    int stages = 1 + random.nextInt(4);
    int chunks = stages > 2 ? 1 : 1 + random.nextInt(2);
    int count = stages * chunks;
    int microBatches = 1 + random.nextInt(5);
    Set<Integer> recompute = new HashSet<>();
    Set<Integer> skips = new HashSet<>();
    for (int piece = 0; piece < count; piece++) {
      if (random.nextBoolean()) {
        recompute.add(piece);
      }
      if (random.nextInt(3) == 0) {
        skips.add(piece);
      }
    }
    boolean split = random.nextBoolean();
    var pieces =
        new HandMade(count, recompute, skips, random.nextBoolean(), split, random.nextBoolean());
    Order order = Orders.random(random, stages, chunks, microBatches, split);
    Program program = Assembly.of(pieces.graphs(), order, HandMade.DATA).program("train");
    return new RandomPrograms(pieces, order, program);
  }

  /** Runs a program of these pieces, and looks at its losses and gradients. */
  void check(Program run, long seed) {
    var interpreter = new ProgramInterpreter();
    int stages = program.stages().size();
    for (int piece = 0; piece < pieces.pieces(); piece++) {
      String weight = pieces.weight(piece);
      interpreter.put(run.stages().get(piece % stages), weight, pieces.value(weight));
    }
    Map<String, Map<Integer, dev.weft.core.graph.Literal>> seen =
        interpreter.run(
            run,
            (buffer, microBatch) -> Optional.of(HandMade.fed(buffer.name(), microBatch)),
            new Random(seed),
            Set.of("loss"));
    List<double[]> expected = pieces.expected(order.microBatches());
    for (int m = 0; m < order.microBatches(); m++) {
      assertEquals(expected.getFirst()[m], seen.get("loss").get(m).asDouble(0));
    }
    for (int piece = 0; piece < pieces.pieces(); piece++) {
      double[] sum = new double[3];
      for (int other = piece % stages; other < pieces.pieces(); other += stages) {
        for (int i = 0; i < 3 && pieces.weight(other).equals(pieces.weight(piece)); i++) {
          sum[i] += expected.get(other + 1)[i];
        }
      }
      String name = pieces.weight(piece) + ".sum";
      assertArrayEquals(
          sum,
          Arrays.stream(interpreter.get(run.stages().get(piece % stages), name).doubles())
              .map(number -> number + 0.0)
              .toArray(),
          name);
    }
  }
}
