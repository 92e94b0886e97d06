"""Warren's user interface: Streamlit for login and rooms, a dedicated component for the chat itself."""
