// Entry of the plugin. TensorBoard imports this module in a frame of its own and calls render().
export async function render() {
  try {
    const { start } = await import("./static/app.js");
    await start();
  } catch (error) {
    document.body.textContent = `Lightship's page could not be loaded: ${error.message}`;
    throw error;
  }
}
