package dev.weft.runtime.trainer;

import dev.weft.core.cluster.UserException;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.Moe;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.model.Transformer;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.jar.JarFile;

/** Models by name. */
public final class Models {
  private Models() {}

  /** Whether a model is one of tokens. */
  public static boolean readsText(String name) {
    return ImageTask.Kind.of(name).isEmpty() && !name.equals(PointTask.MODEL);
  }

  /**
   * The model of that name, or of that class.
   *
   * @param classpath jars and folders where the class may be, parted as on a command line
   * @throws UserException if there is no such model
   */
  public static TokenModel load(String name, String classpath) {
    if (name.equals("gpt")) {
      return new Gpt();
    }
    if (name.equals("moe")) {
      return new Moe();
    }
    if (name.equals("transformer")) {
      return new Transformer();
    }
    if (!readsText(name)) {
      throw new UserException("the model " + name + " neither reads nor makes text");
    }
    try {
      var urls = new ArrayList<URL>();
      for (String part : classpath.split(File.pathSeparator)) {
        if (!part.isEmpty()) {
          File file = new File(part);
          if (!file.exists()) {
            throw new UserException("there is no '" + part + "', named in --classpath");
          }
          if (file.isFile()) {
            new JarFile(file).close();
          }
          urls.add(file.toURI().toURL());
        }
      }
      var loader = new URLClassLoader(urls.toArray(URL[]::new), Models.class.getClassLoader());
      Class<?> type = Class.forName(name, true, loader);
      if (!TokenModel.class.isAssignableFrom(type)) {
        throw new UserException(name + " does not implement " + TokenModel.class.getName());
      }
      return (TokenModel) type.getDeclaredConstructor().newInstance();
    } catch (ClassNotFoundException e) {
      throw new UserException(
          "there is no model '"
              + name
              + "': use gpt, moe, transformer, unet, resnet, mlp, a size like gpt-1.3b, or the full"
              + " name of a class"
              + (classpath.isEmpty()
                  ? " and --classpath"
                  : "; --classpath " + classpath + " has none of this name"),
          e);
    } catch (NoSuchMethodException e) {
      throw new UserException(name + " needs a constructor without arguments", e);
    } catch (InvocationTargetException e) {
      throw new UserException("the constructor of " + name + " failed: " + e.getCause(), e);
    } catch (ReflectiveOperationException e) {
      throw new UserException(
          name + " must be a public class with a public constructor without arguments: " + e, e);
    } catch (LinkageError e) {
      throw new UserException(
          "cannot load "
              + name
              + ": "
              + e
              + "; give all that it needs by --classpath, compiled for this Weft and this Java",
          e);
    } catch (IOException e) {
      throw new UserException("cannot read --classpath " + classpath + ": " + e.getMessage(), e);
    }
  }
}
