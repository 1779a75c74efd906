package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.nn.model.Unet;
import dev.weft.nn.optimizer.Optimizer;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class UnetTest {
  private static final int CLASSES = 3;

  private static StepGraphs graphs(Unet unet, long... images) {
    return StepGraphs.of(
        SmallModels.labelled("images", unet::loss),
        SmallModels.labelled(
            "images", TensorType.of(DataType.F32, images), images[0], images[2], images[3]),
        DataType.F64,
        new Optimizer.SgdMomentum(0, false, 0),
        0);
  }

  private static Tensors tensors(StepGraphs graphs, long... images) {
    var tensors = new Tensors();
    var random = new SplittableRandom(4);
    tensors.initialize(graphs.parameters());
    TensorType type = TensorType.of(DataType.F32, images);
    tensors.put(
        "images",
        Literal.of(type, random.doubles(type.elements()).map(x -> (float) (4 * x - 2)).toArray()));
    long pixels = images[0] * images[2] * images[3];
    // One class is outside of those told apart: the pixel does not count.
    tensors.whole(
        "labels",
        new long[] {images[0], images[2], images[3]},
        random.longs(pixels, -1, CLASSES).toArray());
    return tensors;
  }

  @Test
  void gradientsAreThoseOfFiniteDifferences() {
    StepGraphs graphs = graphs(new Unet(2, 1, CLASSES), 2, 1, 4, 6);
    tensors(graphs, 2, 1, 4, 6).checkGradients(graphs);
  }

  @Test
  void pixelsThatDoNotCountAreNeitherLossNorMistake() {
    StepGraphs graphs = graphs(new Unet(2, 1, CLASSES), 1, 1, 2, 2);
    assertEquals(List.of(Unet.PIXEL_ACCURACY), graphs.measures());
    Tensors tensors = tensors(graphs, 1, 1, 2, 2);
    double loss = 0;
    double right = 0;
    for (int pixel = 0; pixel < 4; pixel++) {
      double best = Double.POSITIVE_INFINITY;
      for (int label = 0; label < CLASSES; label++) {
        long[] labels = {-1, -1, -1, -1};
        labels[pixel] = label;
        tensors.whole("labels", new long[] {1, 2, 2}, labels);
        List<Literal> found = tensors.run(graphs.evaluate());
        assertEquals(1, found.get(1).doubles()[0]);
        double here = found.get(0).doubles()[0];
        // The class of the least loss is the one told, and the only one told right.
        right += found.get(2).doubles()[0];
        best = Math.min(best, here);
        if (label == 1) {
          loss += here;
        }
      }
      assertTrue(best <= Math.log(CLASSES) + 1e-9);
    }
    assertEquals(4, right);
    tensors.whole("labels", new long[] {1, 2, 2}, 1, 1, 1, 1);
    List<Literal> all = tensors.run(graphs.evaluate());
    assertEquals(loss, all.get(0).doubles()[0], 1e-9);
    assertEquals(4, all.get(1).doubles()[0]);
  }

  @Test
  void anImageThatCannotBeHalvedIsRefused() {
    var mistake =
        assertThrows(UserException.class, () -> graphs(new Unet(2, 2, CLASSES), 1, 1, 8, 6));
    assertTrue(String.valueOf(mistake.getMessage()).contains("8 x 6"));
  }
}
