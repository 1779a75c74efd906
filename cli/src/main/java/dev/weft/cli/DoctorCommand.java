package dev.weft.cli;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.engine.library.Torch;
import dev.weft.runtime.trainer.Caches;
import dev.weft.runtime.trainer.Machine;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** {@code weft doctor}. */
@Command(
    name = "doctor",
    mixinStandardHelpOptions = true,
    description = "Says what this machine has, what it does, and what is wrong with it.")
final class DoctorCommand implements Callable<Integer> {
  private static final long LITTLE_MEMORY = 4L << 30;

  @Override
  public Integer call() {
    int problems = 0;
    System.out.printf(
        "%-12s %s, %s%n",
        "java", System.getProperty("java.runtime.version"), System.getProperty("java.home"));
    int cores = Runtime.getRuntime().availableProcessors();
    System.out.printf("%-12s %d%n", "cores", cores);
    System.out.printf("%-12s %s%n", "memory", Machine.memory());
    if (Machine.memory().count() < LITTLE_MEMORY) {
      problems += problem("little memory: train with a smaller --batch or --hidden");
    }
    Path cache = Caches.directory();
    System.out.printf("%-12s %s%n", "cache", cache);
    Path existing = cache;
    while (existing != null && !Files.exists(existing)) {
      existing = existing.getParent();
    }
    if (existing == null || !Files.isWritable(existing)) {
      problems += problem("the cache cannot be written: set WEFT_CACHE to a folder that can");
    }
    try {
      Torch torch = Torch.instance();
      System.out.printf("%-12s %s, %s%n", "libtorch", torch.version(), torch.location().origin());
      System.out.printf("%-12s %s%n", "blas", torch.blas());
      for (DataType dtype : List.of(DataType.F32, DataType.BF16, DataType.F64)) {
        System.out.printf(
            Locale.ROOT,
            "%-12s %.1f GFLOP/s%n",
            "matmul " + dtype,
            Machine.matmulPeak(dtype, cores) / 1e9);
      }
    } catch (UserException e) {
      problems += problem(String.valueOf(e.getMessage()));
    }
    System.out.println(problems == 0 ? "no problems" : problems + " problems");
    return problems == 0 ? 0 : Main.USER_MISTAKE;
  }

  private static int problem(String text) {
    System.out.println("problem: " + text);
    return 1;
  }
}
