export default function View() {
  return <h1>Settings</h1>;
}
