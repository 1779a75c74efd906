package dev.weft.engine.vector;

import dev.weft.core.graph.DataType;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;

/**
 * Says whether this Java runs the loops of this package as vectors: the module must have been asked
 * for when it started, the processor have wide registers, and its optimizing compiler be there.
 */
public final class Vectors {
  /** An incubating module: not there unless Java is started with {@code --add-modules}. */
  private static final String MODULE = "jdk.incubator.vector";

  private static final Map<DataType, CompletableFuture<Boolean>> FAST =
      new EnumMap<>(DataType.class);

  private Vectors() {}

  /**
   * Begins to run the loops for a type beside other work. Until Java has compiled them they are
   * slower than any library; that takes about a second.
   */
  public static void prepare(DataType dtype) {
    measurement(dtype);
  }

  /** Whether the loops for a type are there and fast; waits until they are compiled. */
  public static boolean areFast(DataType dtype) {
    return measurement(dtype).join();
  }

  private static CompletableFuture<Boolean> measurement(DataType dtype) {
    synchronized (FAST) {
      return FAST.computeIfAbsent(dtype, Vectors::measure);
    }
  }

  private static CompletableFuture<Boolean> measure(DataType dtype) {
    boolean loops = dtype == DataType.F32 || dtype == DataType.BF16;
    if (!loops || ModuleLayer.boot().findModule(MODULE).isEmpty()) {
      return CompletableFuture.completedFuture(false);
    }
    var result = new CompletableFuture<Boolean>();
    // Not a method of the loops' classes: those cannot even be loaded without the module.
    BooleanSupplier rehearsal = () -> Rehearsal.isFast(dtype);
    Thread.ofPlatform()
        .daemon()
        .name("weft-vectors")
        .start(
            () -> {
              try {
                result.complete(rehearsal.getAsBoolean());
              } catch (RuntimeException | Error e) {
                result.completeExceptionally(e);
              }
            });
    return result;
  }
}
